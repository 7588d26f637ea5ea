"""The tables of one segment and output channel, and what fills them."""

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Addition, Fabric
from downshift.hw.table import ENTRY_OFFSET, ENTRY_WIDTH, LANES, QUARTERS, TABLES

__all__ = ["FillControl", "TableSegment", "by_table"]

LOW_OFFSET = 5
"""log2 of what keeps the lower of two sums in an entry unsigned."""


def by_table(shape):
    """Layout of a value for each LUT-RAM of each quarter."""
    return data.ArrayLayout(data.ArrayLayout(shape, TABLES), QUARTERS)


class FillControl(data.Struct):
    """What all segments of all rows are told alike while weights are loaded and tables filled."""

    load_address: 4
    """Channel of the weight that may come."""
    weight_address: 4
    """Channel whose weight is added two cycles later."""
    begin: 1
    """The next entry is that of no weight."""
    negate: 1
    """The weight is taken off instead."""
    wide: 1
    """Four LUT-RAMs make one table."""
    narrow: 1
    """Four LUT-RAMs make four tables, filled in pairs."""
    write: by_table(1)
    """LUT-RAMs that take the entry."""
    write_address: 4
    """Where they take it."""


class TableSegment(wiring.Component):
    """Give the sums of four weights each that bit planes ask for, from 16 LUT-RAMs.

    ::

        load_data ─► weights ─► entry ─► contents ─► LUT-RAMs ─► o
                                                        ▲
                                                     address

    `o` comes a cycle after `address`.

    Parameters
    ----------
    fabric : Fabric

    Members
    -------
    address : ``In(by_table(4))``
    o : ``Out(by_table(4))``
    load, load_data : ``In(1)``, ``In(8)``
        A weight of the next tile comes.
    control : ``In(FillControl)``
    """

    latency = 1

    def __init__(self, *, fabric: Fabric):
        self.fabric = fabric
        super().__init__(
            {
                "address": In(by_table(LANES)),
                "o": Out(by_table(4)),
                "load": In(1),
                "load_data": In(8),
                "control": In(FillControl),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control = self.control

        # Weights of the next tile.
        stored = Signal(8)
        weight = Signal(9, reset_less=True)
        for half in range(2):
            self.fabric.lut_ram(
                m,
                f"weights_{half}",
                address=control.weight_address,
                data=stored[4 * half : 4 * half + 4],
                write=self.load,
                write_address=control.load_address,
                write_data=self.load_data[4 * half : 4 * half + 4],
            )
        # A pair of 2-bit weights has bits up to 130 away from zero.
        sign = Mux(control.narrow, stored[7] | (stored[6] & stored[5]), stored[7])
        m.d.sync += weight.eq(Cat(stored, sign))

        # Entries, each a weight away from the one before.
        entry = Signal(ENTRY_WIDTH, reset_less=True)
        following = Signal(ENTRY_WIDTH)
        operand = Cat(weight, weight[-1].replicate(ENTRY_WIDTH - len(weight)))
        step = Addition(o=following, a=entry, b=operand, negate=control.negate)
        self.fabric.add(m, "step", [step])
        m.d.sync += entry.eq(following)
        with m.If(control.begin):
            m.d.sync += entry.eq(ENTRY_OFFSET | control.narrow << LOW_OFFSET)

        # Tables.
        low, lowest = Signal(4), Signal(4)
        m.d.comb += [low.eq(entry[2:6]), lowest.eq(Mux(control.wide, entry[:2], low))]
        contents = [lowest, entry[6:], low, entry[6:]]
        picked = Signal(by_table(4))
        kept = Signal(by_table(4), reset_less=True)
        for quarter, table in np.ndindex(QUARTERS, TABLES):
            self.fabric.lut_ram(
                m,
                f"table_{quarter}_{table}",
                address=self.address[quarter][table],
                data=picked[quarter][table],
                write=control.write[quarter][table],
                write_address=control.write_address,
                write_data=contents[table],
            )
        m.d.sync += kept.eq(picked)
        m.d.comb += self.o.eq(kept)

        return m
