"""The aligned switch: low-bit weights from the stored int8 ones, aligned to the left."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.precision_switch import STORED_WIDTH
from downshift.hw.switch_lane import SwitchLane

__all__ = ["AlignedSwitch"]


class AlignedSwitch(wiring.Component):
    """``precision_switch(codes, width=width) << 8 - width`` on `lanes` stored weights a cycle.

    Aligned to the left, a narrow weight is the stored one without its low bits, rounded: nothing is
    shifted. The result comes `latency` cycles later, and is not held up.

    Parameters
    ----------
    lanes : int
        Weights in a word.
    fabric : Fabric

    Members
    -------
    width : ``In(4)``
        Bits of the result, 2…8; stable from two cycles before a word to its end.
    i : ``In(stream.Signature(..., always_ready=True))``
        `codes` are the stored weights, `blank` tells which of them count as zero.
    o : ``Out(stream.Signature(ArrayLayout(8, lanes), always_ready=True))``
    busy : ``Out(1)``
        A word is on its way.
    """

    latency = SwitchLane.latency

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, lanes: int, fabric: Fabric | None = None):
        if not isinstance(lanes, int) or lanes < 1:
            raise ValueError(f"Lanes must be a positive integer, not {lanes!r}")
        self.lanes = lanes
        self.fabric = fabric or Fabric()
        codes = data.ArrayLayout(STORED_WIDTH, lanes)
        word = data.StructLayout({"codes": codes, "blank": lanes})
        super().__init__(
            {
                "width": In(4),
                "i": In(stream.Signature(word, always_ready=True)),
                "o": Out(stream.Signature(codes, always_ready=True)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        waiting = Signal()
        m.d.comb += self.busy.eq(waiting | self.o.valid)
        m.d.sync += [waiting.eq(self.i.valid), self.o.valid.eq(waiting)]

        # What all lanes are told alike.
        drop, added, kept = Signal(3), Signal(STORED_WIDTH), Signal(STORED_WIDTH)
        m.d.sync += [
            drop.eq(STORED_WIDTH - self.width),
            added.eq((1 << drop) - 1 >> 1),
            kept.eq(-1 << drop),
        ]
        for index in range(self.lanes):
            lane = SwitchLane(fabric=self.fabric)
            m.submodules[f"lane_{index}"] = shared(lane, platform)
            m.d.comb += [
                lane.drop.eq(drop),
                lane.added.eq(added),
                lane.kept.eq(kept),
                lane.i.eq(self.i.p.codes[index]),
                lane.blank.eq(self.i.p.blank[index]),
                self.o.p[index].eq(lane.o),
            ]

        return m
