"""The aligned switch: low-bit weights from the stored int8 ones, aligned to the left."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.precision_switch import CENTRED_WIDTH, STORED_WIDTH, switch_code
from downshift.hw.switch_part import SwitchPart

__all__ = ["AlignedSwitch"]

PART = 8


class AlignedSwitch(wiring.Component):
    """``precision_switch(codes, …) << 8 - width`` on `lanes` stored weights a cycle.

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
        `switch_code` of the result; stable from three cycles before a word to its end.
    i : ``In(stream.Signature(..., always_ready=True))``
        `codes` are the stored weights, `blank` tells which of them count as zero.
    o : ``Out(stream.Signature(ArrayLayout(8, lanes), always_ready=True))``
    busy : ``Out(1)``
        A word is on its way.
    """

    latency = SwitchPart.latency

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
        waiting = Signal(self.latency)
        m.d.comb += [self.busy.eq(waiting.any()), self.o.valid.eq(waiting[-1])]
        m.d.sync += waiting.eq(waiting << 1 | self.i.valid)

        # What all lanes are told alike.
        drop, added, kept = Signal(3), Signal(STORED_WIDTH), Signal(STORED_WIDTH)
        centred = Signal()
        m.d.sync += [
            drop.eq(STORED_WIDTH - self.width),
            centred.eq(self.width == switch_code(CENTRED_WIDTH, centred=True)),
            added.eq(Mux(centred, 0, (1 << drop) - 1 >> 1)),
            kept.eq(-1 << drop),
        ]
        for first in range(0, self.lanes, PART):
            lanes = slice(first, min(first + PART, self.lanes))
            part = SwitchPart(lanes=lanes.stop - first, fabric=self.fabric)
            m.submodules[f"part_{first // PART}"] = shared(part, platform)
            m.d.comb += [
                part.drop.eq(Mux(centred, 0, drop)),
                part.centred.eq(centred),
                part.added.eq(added),
                part.kept.eq(kept),
                *(part.i[k].eq(self.i.p.codes[first + k]) for k in range(part.lanes)),
                part.blank.eq(self.i.p.blank[lanes]),
                *(self.o.p[first + k].eq(part.o[k]) for k in range(part.lanes)),
            ]

        return m
