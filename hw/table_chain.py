"""Segments of one output channel whose weights come at once, with registers for what fills them."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.table import LANES
from downshift.hw.table_segment import FillControl, TableSegment, by_table

__all__ = ["TableChain"]


class TableChain(wiring.Component):
    """`TableSegment` several times; tables are filled a cycle later.

    Parameters
    ----------
    segments : int
    fabric : Fabric

    Members
    -------
    load, control : as of `TableSegment`
    address, o, load_data : ``In(ArrayLayout(by_table(4), segments))``, …
        By segment.
    """

    def __init__(self, *, segments: int, fabric: Fabric):
        self.segments = segments
        self.fabric = fabric
        super().__init__(
            {
                "address": In(data.ArrayLayout(by_table(LANES), segments)),
                "o": Out(data.ArrayLayout(by_table(4), segments)),
                "load": In(1),
                "load_data": In(data.ArrayLayout(8, segments)),
                "control": In(FillControl),
            }
        )

    def elaborate(self, platform):
        m = Module()
        load = Signal()
        load_data = Signal.like(self.load_data, reset_less=True)
        control = Signal(FillControl, reset_less=True)
        m.d.sync += [
            load.eq(self.load),
            load_data.eq(self.load_data),
            control.eq(self.control),
        ]
        for index in range(self.segments):
            segment = TableSegment(fabric=self.fabric)
            m.submodules[f"segment_{index}"] = shared(segment, platform)
            m.d.comb += [
                segment.address.eq(self.address[index]),
                segment.load.eq(load),
                segment.load_data.eq(load_data[index]),
                segment.control.eq(control),
                self.o[index].eq(segment.o),
            ]
        return m
