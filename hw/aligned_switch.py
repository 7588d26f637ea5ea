"""The aligned switch: low-bit weights from the stored int8 ones, aligned to the left."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Addition, Fabric
from downshift.hw.precision_switch import STORED_WIDTH

__all__ = ["AlignedSwitch"]


class AlignedSwitch(wiring.Component):
    """``precision_switch(codes, width=width) << 8 - width`` on `lanes` stored weights a cycle.

    Aligned to the left, a narrow weight is the stored one without its low bits, rounded: nothing is
    shifted. Two registers, `latency` cycles; a word stays offered until it is taken.

    Parameters
    ----------
    lanes : int
        Weights in a word.
    fabric : Fabric

    Members
    -------
    width : ``In(4)``
        Bits of the result, 2…8; stable while data flows.
    i, o : ``In(stream.Signature(ArrayLayout(8, lanes)))``, ``Out(...)``
    """

    latency = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, lanes: int, fabric: Fabric | None = None):
        if not isinstance(lanes, int) or lanes < 1:
            raise ValueError(f"Lanes must be a positive integer, not {lanes!r}")
        self.lanes = lanes
        self.fabric = fabric or Fabric()
        codes = data.ArrayLayout(STORED_WIDTH, lanes)
        super().__init__(
            {
                "width": In(4),
                "i": In(stream.Signature(codes)),
                "o": Out(stream.Signature(codes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        kept = Signal()
        one = Signal(STORED_WIDTH)  # the last bit that is kept
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
        ]
        m.d.sync += one.eq(1 << (STORED_WIDTH - self.width)[:3])
        with m.If(advance):
            m.d.sync += [kept.eq(self.i.valid), self.o.valid.eq(kept)]

        for lane in range(self.lanes):
            # Cycle 1: drop the low bits; round half to even, but not beyond the largest code.
            stored = self.i.p[lane]
            floor = Signal(STORED_WIDTH, name=f"floor_{lane}", reset_less=True)
            up = Signal(name=f"up_{lane}", reset_less=True)
            with m.If(advance), m.Switch(self.width):
                for width in range(2, STORED_WIDTH + 1):
                    drop = STORED_WIDTH - width
                    largest = stored[drop:-1].all() & ~stored[-1]
                    half = stored[drop - 1] if drop else 0
                    more = stored[: max(drop - 1, 0)].any() | stored[drop]
                    with m.Case(width):
                        m.d.sync += [
                            floor.eq(stored[drop:] << drop),
                            up.eq(half & more & ~largest),
                        ]

            # Cycle 2: round.
            total = Signal(STORED_WIDTH, name=f"total_{lane}")
            self.fabric.add(m, f"round_{lane}", [Addition(o=total, a=floor, b=one, select=up)])
            with m.If(advance):
                m.d.sync += self.o.p[lane].eq(total)

        return m
