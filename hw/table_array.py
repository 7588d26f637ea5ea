"""The table array: dot products by distributed arithmetic, one bit of the activations a cycle."""

from itertools import pairwise

import numpy as np
from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.bit_serializer import BitSerializer
from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.mac import VectorTags, vector_layout
from downshift.hw.table import LANES, QUARTERS, TABLES
from downshift.hw.table_fill import TableFill
from downshift.hw.table_row import TableRow, table_sum_width
from downshift.hw.table_segment import by_table

__all__ = ["TableArray"]

WORD = LANES * QUARTERS
"""Bytes of a segment in a vector."""


class TableArray(wiring.Component):
    """Dot products of `rows` weight vectors with activation vectors, from tables of sums.

    The twin of `table_sums`. A vector takes as many cycles as its codes have bits, and has one, two
    or four pixels (`table_slots`): throughput follows the width of the activations, and that of the
    weights in steps of 8, 6 and 2 bits. Results are not held up: who takes them sets `cycles`.

    The next tile of weights is loaded behind the one in use; the tables are then filled from it in
    `fill_cycles`, during which no vector is taken.

    Parameters
    ----------
    rows : int
        Output channels.
    segments : int
        Words of 16 bytes in a vector.
    columns : int
        Segments whose weights come in one word.
    fabric : Fabric

    Members
    -------
    pack : ``In(2)``
        log2 of the codes in a byte, 0…2.
    fill_pack : ``In(2)``
        The same, of the weights that are loaded; stable until tables are filled with them.
    channels : ``In(2)``
        log2 of a quarter of the channels of a segment, 0…2, of the weights that are loaded.
    act_width : ``In(4)``
        Bits of a code; at most ``8 >> pack``.
    cycles : ``In(6)``
        Cycles from one vector to the next, at least `act_width`.
    i_weights : ``In(stream.Signature(ArrayLayout(ArrayLayout(8, columns), rows)))``
        Tiles of running weights, aligned to the left: the first channel of the first `columns`
        segments, the next channel, …, then the next segments. What is beyond the last is ignored.
    i_acts : ``In(stream.Signature(vector_layout(16 * segments)))``
        Vectors, as of `table_vectors`.
    o : ``Out(stream.Signature(..., always_ready=True))``
        Sums by row and quarter, and the tags of the vector.
    """

    i_weights: stream.Interface
    i_acts: stream.Interface
    o: stream.Interface

    def __init__(self, *, rows: int, segments: int, columns: int, fabric: Fabric | None = None):
        for name, value in (("Rows", rows), ("Segments", segments), ("Columns", columns)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if columns > segments:
            raise ValueError(f"Columns must be at most segments = {segments}, not {columns!r}")
        self.rows = rows
        self.segments = segments
        self.columns = columns
        self.fabric = fabric or Fabric()
        self.latency = self.latency_of(segments=segments)
        sums = data.ArrayLayout(table_sum_width(segments), QUARTERS)
        self.o_layout = data.StructLayout(
            {"sums": data.ArrayLayout(sums, rows), "tags": VectorTags}
        )
        super().__init__(
            {
                "pack": In(2),
                "fill_pack": In(2),
                "channels": In(2),
                "act_width": In(4),
                "cycles": In(6),
                "i_weights": In(
                    stream.Signature(data.ArrayLayout(data.ArrayLayout(8, columns), rows))
                ),
                "i_acts": In(stream.Signature(vector_layout(WORD * segments))),
                "o": Out(stream.Signature(self.o_layout, always_ready=True)),
            }
        )

    @staticmethod
    def latency_of(*, segments: int) -> int:
        """Cycles from taking a vector of one bit to its result; `act_width` - 1 more for others."""
        return BitSerializer.latency + TableRow.latency_of(segments=segments) + 2

    def elaborate(self, platform):
        m = Module()

        # Weights: the next tile is loaded while the tables serve.
        groups = -(-self.segments // self.columns)
        m.submodules.fill = fill = TableFill(groups=groups)
        word = Signal.like(self.i_weights.p, reset_less=True)
        m.d.comb += [
            fill.pack.eq(self.fill_pack),
            fill.channels.eq(self.channels),
            fill.taken.eq(self.i_weights.valid & fill.room),
            self.i_weights.ready.eq(fill.room),
        ]
        m.d.sync += word.eq(self.i_weights.p)

        # Vectors: one every `cycles`, while there are tables.
        held = Signal()
        taken = Signal()
        wait = Signal.like(self.cycles)
        planes = Signal.like(self.act_width)
        tags = Signal(VectorTags)
        m.d.comb += [
            self.i_acts.ready.eq(held & (wait == 0)),
            taken.eq(self.i_acts.valid & self.i_acts.ready),
            fill.start.eq(fill.full & ~held & ~fill.busy & (planes <= 2)),
        ]
        with m.If(taken):
            m.d.sync += [
                wait.eq(self.cycles - 1),
                planes.eq(self.act_width),
                tags.eq(self.i_acts.p.tags),
                held.eq(~self.i_acts.p.tags.end),
            ]
        with m.Else():
            m.d.sync += [wait.eq(wait - (wait != 0)), planes.eq(planes - (planes != 0))]
        with m.If(fill.done):
            m.d.sync += held.eq(1)

        # Planes, and what accompanies them through the trees.
        address = Signal(data.ArrayLayout(by_table(LANES), self.segments))
        vector = self.i_acts.p.lanes
        for segment in range(self.segments):
            word_bits = BitSerializer(lanes=WORD)
            m.submodules[f"word_{segment}"] = shared(word_bits, platform)
            m.d.comb += [
                word_bits.pack.eq(self.pack),
                word_bits.load.eq(taken),
                *(word_bits.i[k].eq(vector[WORD * segment + k]) for k in range(WORD)),
            ]
            for quarter, table in np.ndindex(QUARTERS, TABLES):
                lanes = range(LANES * quarter, LANES * (quarter + 1))
                m.d.comb += address[segment][quarter][table].eq(
                    Cat(word_bits.o[lane][table] for lane in lanes)
                )
        stages = [Signal(_Stage, name=f"stage_{k}") for k in range(self.latency - 2)]
        m.d.sync += [
            stages[0].restart.eq(planes <= 1),
            stages[0].last.eq(planes == 1),
            stages[0].tags.eq(tags),
            *(later.eq(stage) for stage, later in pairwise(stages)),
        ]
        told, done = stages[-2], stages[-1]  # the rows have registers of their own
        m.d.sync += [self.o.valid.eq(done.last), self.o.p.tags.eq(done.tags)]

        for index in range(self.rows):
            row = TableRow(segments=self.segments, columns=self.columns, fabric=self.fabric)
            m.submodules[f"row_{index}"] = shared(row, platform)
            m.d.comb += [
                row.pack.eq(self.pack),
                row.fill_pack.eq(self.fill_pack),
                row.address.eq(address),
                row.restart.eq(told.restart),
                row.done.eq(told.last),
                row.load.eq(fill.load),
                row.load_data.eq(word[index]),
                row.control.eq(fill.control),
                self.o.p.sums[index].eq(row.o),
            ]

        return m


class _Stage(data.Struct):
    """What accompanies a bit plane through the trees."""

    restart: 1
    """It is the last of its vector, or there is none."""
    last: 1
    tags: VectorTags
