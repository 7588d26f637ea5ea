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
    shifted. Two registers, `latency` cycles, which move on while `o` is ready and stand still while
    it is not, whether they hold anything or not: what they wait for must not wait for them.

    Parameters
    ----------
    lanes : int
        Weights in a word.
    fabric : Fabric

    Members
    -------
    width : ``In(4)``
        Bits of the result, 2…8; stable from two cycles before a word to its end.
    i : ``In(stream.Signature(StructLayout({"codes": ArrayLayout(8, lanes), "blank": lanes})))``
        Stored weights, and which of them count as zero.
    o : ``Out(stream.Signature(ArrayLayout(8, lanes)))``
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
        super().__init__(
            {
                "width": In(4),
                "i": In(stream.Signature(data.StructLayout({"codes": codes, "blank": lanes}))),
                "o": Out(stream.Signature(codes)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        advance, waiting = Signal(), Signal()
        m.d.comb += [
            advance.eq(self.o.ready),
            self.i.ready.eq(advance),
            self.busy.eq(waiting | self.o.valid),
        ]
        with m.If(advance):
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
                lane.advance.eq(advance),
                lane.drop.eq(drop),
                lane.added.eq(added),
                lane.kept.eq(kept),
                lane.i.eq(self.i.p.codes[index]),
                lane.blank.eq(self.i.p.blank[index]),
                self.o.p[index].eq(lane.o),
            ]

        return m
