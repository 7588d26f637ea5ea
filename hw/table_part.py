"""A part of the rows of a table array, with registers of their own before them."""

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.registers import registered
from downshift.hw.table import LANES, QUARTERS
from downshift.hw.table_row import TableRow, table_sum_width
from downshift.hw.table_segment import FillControl, by_table

__all__ = ["TablePart"]

BANK = 4
"""Rows with common registers."""


def _ports(rows, segments, columns):
    sums = data.ArrayLayout(table_sum_width(segments), QUARTERS)
    return {
        "pack": In(2),
        "address": In(data.ArrayLayout(by_table(LANES), segments)),
        "restart": In(1),
        "done": In(1),
        "combine": In(1),
        "load": In(-(-segments // columns)),
        "load_data": In(data.ArrayLayout(data.ArrayLayout(8, columns), rows)),
        "control": In(FillControl),
        "o": Out(data.ArrayLayout(sums, rows)),
    }


class TablePart(wiring.Component):
    """`TableRow` for some output channels, `latency` cycles later: no net spans the whole array.

    ::

        address, … ─► register ─┬─► register ─► four rows ─► o
                                └─► register ─► four rows ─► o

    Parameters
    ----------
    rows : int
        Output channels.
    segments, columns : int
    fabric : Fabric

    Members
    -------
    pack : ``In(2)``
        log2 of the tables that four LUT-RAMs make for sums, 0…2.
    address, restart, done, load, control : as of `TableRow`
    load_data : ``In(ArrayLayout(ArrayLayout(8, columns), rows))``
        A cycle before `load`.
    combine : ``In(1)``
        With `load_data`: it and the one before it are loaded as one.
    o : ``Out(ArrayLayout(ArrayLayout(table_sum_width(segments), 4), rows))``
        Without a register.
    """

    latency = 2

    def __init__(self, *, rows: int, segments: int, columns: int, fabric: Fabric):
        self.rows = rows
        self.segments = segments
        self.columns = columns
        self.fabric = fabric
        super().__init__(_ports(rows, segments, columns))

    def elaborate(self, platform):
        m = Module()
        names = [name for name in _ports(1, 1, 1) if name != "o"]
        held = registered(m, {name: getattr(self, name) for name in names})
        for first in range(0, self.rows, BANK):
            rows = range(first, min(first + BANK, self.rows))
            bank = _Bank(
                rows=len(rows), segments=self.segments, columns=self.columns, fabric=self.fabric
            )
            m.submodules[f"bank_{first // BANK}"] = shared(bank, platform)
            m.d.comb += [
                getattr(bank, name).eq(held[name]) for name in names if name != "load_data"
            ]
            for index, row in enumerate(rows):
                m.d.comb += [
                    bank.load_data[index].eq(held["load_data"][row]),
                    self.o[row].eq(bank.o[index]),
                ]
        return m


class _Bank(wiring.Component):
    """Rows next to each other, with registers before them; members are as of `TablePart`."""

    def __init__(self, *, rows: int, segments: int, columns: int, fabric: Fabric):
        self.rows = rows
        self.segments = segments
        self.columns = columns
        self.fabric = fabric
        super().__init__(_ports(rows, segments, columns))

    def elaborate(self, platform):
        m = Module()
        wide, narrow = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            wide.eq(self.pack == 0),
            narrow.eq(self.pack == 2),
        ]
        names = ("address", "restart", "done", "load", "control")
        held = registered(m, {name: getattr(self, name) for name in names})
        coming = Signal.like(self.load_data, reset_less=True)
        word = Signal.like(self.load_data, reset_less=True)
        combine = Signal(reset_less=True)
        m.d.sync += [coming.eq(self.load_data), combine.eq(self.combine)]
        for row, column in np.ndindex(self.rows, self.columns):
            before, now = word[row][column], coming[row][column]
            m.d.sync += before.eq(Mux(combine, weight_pair(before, now), now))
        follows = Signal(reset_less=True)
        m.d.sync += follows.eq(~held["restart"])
        for index in range(self.rows):
            row = TableRow(segments=self.segments, columns=self.columns, fabric=self.fabric)
            m.submodules[f"row_{index}"] = shared(row, platform)
            m.d.comb += [
                Cat(row.wide, row.narrow).eq(Cat(wide, narrow)),
                row.address.eq(held["address"]),
                row.follows.eq(follows),
                row.done.eq(held["done"]),
                row.load.eq(held["load"]),
                row.load_data.eq(word[index]),
                row.control.eq(held["control"]),
                self.o[index].eq(row.o),
            ]
        return m


def weight_pair(first, second):
    """Two weights of two bits as one of eight: the second times 64 and the first times 4."""
    low = first[7]
    return Cat(0, 0, first[6], low, low, low, second[6] ^ low, second[7] ^ (low & ~second[6]))
