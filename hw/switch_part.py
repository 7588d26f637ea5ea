"""The switch part: low-bit weights from their stored int8 ones, aligned to the left."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Addition, Fabric
from downshift.hw.precision_switch import CENTRED_WIDTH, STORED_WIDTH
from downshift.hw.registers import registered

__all__ = ["SwitchPart"]


class SwitchPart(wiring.Component):
    """``precision_switch(i, width=8 - drop) << drop``, `latency` cycles later.

    Half a step less one is added, and one more if the last bit that is kept is set: what is then
    kept is rounded half to even. Only the largest code can round beyond its range; all of its bits
    turn over. Centred weights lose their low bits, nothing is added, and one bit is set.

    Parameters
    ----------
    lanes : int
        Weights.
    fabric : Fabric

    Members
    -------
    drop : ``In(3)``
        Low bits that go, 0…6; 0 for centred weights.
    added, kept : ``In(8)``
        ``(1 << drop - 1) - 1``, or 0 without any to drop; ones but for the bits that go.
    centred : ``In(1)``
        Set the last bit that is kept of all that are not 0.
    i, blank : ``In(ArrayLayout(8, lanes))``, ``In(lanes)``
        The stored weights; which of them are none.
    o : ``Out(ArrayLayout(8, lanes))``
    """

    latency = 3

    def __init__(self, *, lanes: int, fabric: Fabric):
        self.lanes = lanes
        self.fabric = fabric
        codes = data.ArrayLayout(STORED_WIDTH, lanes)
        super().__init__(
            {
                "drop": In(3),
                "added": In(STORED_WIDTH),
                "kept": In(STORED_WIDTH),
                "centred": In(1),
                "i": In(codes),
                "blank": In(lanes),
                "o": Out(codes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        names = ("drop", "added", "kept", "centred")
        held = registered(m, {name: getattr(self, name) for name in names})
        additions = []
        for index in range(self.lanes):
            # Cycle 1: the last bit that is kept.
            weight, last_kept, blank, halves = (
                Signal(width, name=f"{name}_{index}", reset_less=True)
                for name, width in (
                    ("weight", STORED_WIDTH), ("last_kept", 1), ("blank", 2), ("halves", 2)
                )
            )  # fmt: skip
            m.d.sync += [
                weight.eq(self.i[index]),
                blank.eq(blank << 1 | self.blank[index]),
                last_kept.eq(0),
                halves.eq(Cat(self.i[index][:4].any(), self.i[index][4:].any())),
            ]
            with m.Switch(held["drop"]):
                for drop in range(1, STORED_WIDTH - 1):
                    with m.Case(drop):
                        m.d.sync += last_kept.eq(self.i[index][drop])

            # Cycle 2: add.
            total = Signal(STORED_WIDTH, name=f"total_{index}")
            additions.append(Addition(o=total, a=weight, b=held["added"], carry=last_kept))
            rounded = Signal(STORED_WIDTH, name=f"rounded_{index}", reset_less=True)
            positive = Signal(name=f"positive_{index}", reset_less=True)
            odd = Signal(name=f"odd_{index}", reset_less=True)
            m.d.sync += [
                rounded.eq(total),
                positive.eq(~weight[-1]),
                odd.eq(held["centred"] & halves.any() & ~blank[0]),
            ]

            # Cycle 3: drop.
            beyond = Signal(name=f"beyond_{index}")
            aligned = Signal(STORED_WIDTH, name=f"aligned_{index}", reset_less=True)
            m.d.comb += [beyond.eq(positive & rounded[-1]), self.o[index].eq(aligned)]
            for bit in range(STORED_WIDTH):
                keep = held["kept"][bit] & ~blank[1]
                put = odd if bit == STORED_WIDTH - CENTRED_WIDTH else 0
                m.d.sync += aligned[bit].eq((rounded[bit] ^ beyond) & keep | put)

        self.fabric.add(m, "sums", additions)
        return m
