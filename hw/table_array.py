"""The table array: dot products by distributed arithmetic, one bit of the activations a cycle."""

from itertools import pairwise

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.bit_serializer import BitSerializer
from downshift.hw.counters import CycleUse
from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.mac import VectorTags, vector_layout
from downshift.hw.table import LANES, QUARTERS, TABLES, row_order
from downshift.hw.table_fill import TableFill
from downshift.hw.table_part import TablePart
from downshift.hw.table_row import TableRow, table_sum_width
from downshift.hw.table_segment import by_table

__all__ = ["TableArray"]

WORD = LANES * QUARTERS
"""Bytes of a segment in a vector."""
PART = 8
"""Rows with common registers."""


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
    load_latency : int
        Cycles that weights take which are asked for.
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
        Tiles of running weights, aligned to the left: a channel of the first `columns` segments,
        the next one in `load_order`, …, then the next segments. What is beyond the last is ignored.
        Words of a tile come one a cycle.
    asks, begun : ``Out(1)``, ``In(1)``
        Weights of a tile may come in `load_latency` cycles; they are on their way.
    i_acts : ``In(stream.Signature(vector_layout(16 * segments)))``
        Vectors, as of `table_vectors`.
    takes : ``Out(1)``
        `ready` of `i_acts` in the next cycle.
    o : ``Out(stream.Signature(..., always_ready=True))``
        Sums by row and quarter, and the tags of the vector.
    soon : ``Out(stream.Signature(VectorTags, always_ready=True))``
        Tags of the vector whose sums come in five cycles.
    use : ``Out(CycleUse)``
        What the cycle goes to, while vectors of the pass are to come.
    over : ``Out(1)``
        The last one is taken.
    """

    i_weights: stream.Interface
    i_acts: stream.Interface
    o: stream.Interface
    soon: stream.Interface

    def __init__(
        self,
        *,
        rows: int,
        segments: int,
        columns: int,
        load_latency: int = 0,
        fabric: Fabric | None = None,
    ):
        for name, value in (("Rows", rows), ("Segments", segments), ("Columns", columns)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if columns > segments:
            raise ValueError(f"Columns must be at most segments = {segments}, not {columns!r}")
        self.rows = rows
        self.segments = segments
        self.columns = columns
        self.load_latency = load_latency
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
                "asks": Out(1),
                "begun": In(1),
                "i_acts": In(stream.Signature(vector_layout(WORD * segments))),
                "takes": Out(1),
                "o": Out(stream.Signature(self.o_layout, always_ready=True)),
                "soon": Out(stream.Signature(VectorTags, always_ready=True)),
                "use": Out(CycleUse),
                "over": Out(1),
            }
        )

    @staticmethod
    def latency_of(*, segments: int) -> int:
        """Cycles from taking a vector of one bit to its result; `act_width` - 1 more for others."""
        return (
            BitSerializer.latency + TablePart.latency + TableRow.latency_of(segments=segments) + 2
        )

    def elaborate(self, platform):
        m = Module()

        # Weights: the next tile is loaded while the tables serve.
        groups = -(-self.segments // self.columns)
        m.submodules.fill = fill = TableFill(groups=groups, lead=self.load_latency)
        m.d.comb += [
            fill.pack.eq(self.fill_pack),
            fill.channels.eq(self.channels),
            fill.taken.eq(self.i_weights.valid & fill.room),
            self.i_weights.ready.eq(fill.room),
            self.asks.eq(fill.asks),
            fill.begun.eq(self.begun),
        ]

        # Vectors: one every `cycles`, while there are tables.
        held, ready = Signal(), Signal()
        taken, spent = Signal(), Signal(init=1)
        wait, waited = Signal.like(self.cycles), Signal(init=1)
        one, most_two = Signal(), Signal()  # of `cycles`, which are stable meanwhile
        planes = Signal.like(self.act_width)
        tags = Signal(VectorTags)
        m.d.comb += [
            self.i_acts.ready.eq(ready),
            taken.eq(self.i_acts.valid & self.i_acts.ready),
            fill.start.eq(fill.full & ~held & ~fill.busy & spent),
        ]
        with m.If(taken):
            m.d.comb += self.takes.eq(~self.i_acts.p.tags.end & one)
            m.d.sync += [
                wait.eq(self.cycles - 1),
                waited.eq(most_two),
                planes.eq(self.act_width),
                spent.eq(self.act_width == 1),
                tags.eq(self.i_acts.p.tags),
                held.eq(~self.i_acts.p.tags.end),
            ]
        with m.Else():
            m.d.comb += self.takes.eq((held | fill.soon) & waited)
            m.d.sync += [
                wait.eq(wait - (wait != 0)),
                waited.eq(wait <= 2),
                planes.eq(planes - (planes != 0)),
                spent.eq(planes <= 2),
            ]
        m.d.sync += [
            ready.eq(self.takes),
            one.eq(self.cycles == 1),
            most_two.eq(self.cycles <= 2),
        ]
        with m.If(fill.soon):
            m.d.sync += held.eq(1)
        m.d.comb += [
            self.use.busy.eq(taken | ~spent),
            self.use.tile_load.eq(~self.use.busy & ~held),
            self.use.fetch.eq(~self.use.busy & ready),
            self.over.eq(taken & self.i_acts.p.tags.over),
        ]

        # Planes, and what accompanies them through the trees.
        address = Signal(data.ArrayLayout(by_table(LANES), self.segments))
        vector = self.i_acts.p.lanes
        for segment in range(self.segments):
            for quarter in range(QUARTERS):
                bits = BitSerializer(lanes=LANES)
                m.submodules[f"word_{segment}_{quarter}"] = shared(bits, platform)
                m.d.comb += [bits.pack.eq(self.pack), bits.load.eq(taken)]
                for lane in range(LANES):
                    m.d.comb += bits.i[lane].eq(vector[WORD * segment + LANES * quarter + lane])
                for table in range(TABLES):
                    m.d.comb += address[segment][quarter][table].eq(
                        Cat(bits.o[lane][table] for lane in range(LANES))
                    )
        stages = [Signal(_Stage, name=f"stage_{k}") for k in range(self.latency - 2)]
        m.d.sync += [
            stages[0].restart.eq(spent),
            stages[0].last.eq(planes == 1),
            stages[0].tags.eq(tags),
            *(later.eq(stage) for stage, later in pairwise(stages)),
        ]
        told, soon, done = stages[-2 - TablePart.latency], stages[-5], stages[-1]
        m.d.comb += [self.soon.valid.eq(soon.last), self.soon.p.eq(soon.tags)]
        m.d.sync += [self.o.valid.eq(done.last), self.o.p.tags.eq(done.tags)]

        order = row_order(self.rows)
        for first in range(0, self.rows, PART):
            rows = order[first : first + PART]
            part = TablePart(
                rows=len(rows), segments=self.segments, columns=self.columns, fabric=self.fabric
            )
            m.submodules[f"part_{first // PART}"] = shared(part, platform)
            m.d.comb += [
                part.pack.eq(self.pack),
                part.address.eq(address),
                part.restart.eq(told.restart),
                part.done.eq(told.last),
                part.combine.eq(fill.combine),
                part.load.eq(fill.load),
                part.control.eq(fill.control),
            ]
            for index, row in enumerate(rows):
                m.d.comb += [
                    part.load_data[index].eq(self.i_weights.p[row]),
                    self.o.p.sums[row].eq(part.o[index]),
                ]

        return m


class _Stage(data.Struct):
    """What accompanies a bit plane through the trees."""

    restart: 1
    """It is the last of its vector, or there is none."""
    last: 1
    tags: VectorTags
