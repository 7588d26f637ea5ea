"""The switch lane: one low-bit weight from its stored int8 one, aligned to the left."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Addition, Fabric
from downshift.hw.precision_switch import STORED_WIDTH

__all__ = ["SwitchLane"]


class SwitchLane(wiring.Component):
    """``precision_switch([i], width=8 - drop)[0] << drop``, `latency` cycles later.

    Half a step less one is added, and one more if the last bit that is kept is set: what is then
    kept is rounded half to even. Only the largest code can round beyond its range; all of its bits
    turn over.

    Parameters
    ----------
    fabric : Fabric

    Members
    -------
    drop : ``In(3)``
        Low bits that go, 0…6.
    added, kept : ``In(8)``
        ``(1 << drop - 1) - 1``, or 0 without any to drop; ones but for the bits that go.
    i, blank : ``In(8)``, ``In(1)``
        The stored weight; or there is none.
    o : ``Out(8)``
    """

    latency = 2

    def __init__(self, *, fabric: Fabric):
        self.fabric = fabric
        super().__init__(
            {
                "drop": In(3),
                "added": In(STORED_WIDTH),
                "kept": In(STORED_WIDTH),
                "i": In(STORED_WIDTH),
                "blank": In(1),
                "o": Out(STORED_WIDTH),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Cycle 1: add.
        last_kept = Signal()
        total = Signal(STORED_WIDTH)
        with m.Switch(self.drop):
            for drop in range(1, STORED_WIDTH - 1):
                with m.Case(drop):
                    m.d.comb += last_kept.eq(self.i[drop])
        self.fabric.add(m, "sum", [Addition(o=total, a=self.i, b=self.added, carry=last_kept)])
        rounded = Signal(STORED_WIDTH, reset_less=True)
        positive, blank = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [rounded.eq(total), positive.eq(~self.i[-1]), blank.eq(self.blank)]

        # Cycle 2: drop.
        beyond = Signal()
        aligned = Signal(STORED_WIDTH, reset_less=True)
        m.d.comb += [beyond.eq(positive & rounded[-1]), self.o.eq(aligned)]
        for bit in range(STORED_WIDTH):
            m.d.sync += aligned[bit].eq((rounded[bit] ^ beyond) & self.kept[bit] & ~blank)

        return m
