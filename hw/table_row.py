"""One output channel of a table array: tables, trees and accumulators."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.adder_tree import add_trees, adder_tree_latency
from downshift.hw.fabric import Addition, Fabric
from downshift.hw.generate import shared
from downshift.hw.table import LANES, QUARTERS, TABLES
from downshift.hw.table_segment import FillControl, TableSegment, by_table

__all__ = ["TableRow", "table_sum_width"]

LARGEST_ENTRY = 4 * 255
LARGEST_DIGIT = 15


def table_sum_width(segments):
    """Bits of the unsigned sum of a quarter."""
    return (LARGEST_ENTRY * 255 * segments).bit_length()


class TableRow(wiring.Component):
    """Sum one output channel for each quarter of a vector, one bit of the activations at a time.

    ::

        segments ─► trees of each LUT-RAM ─► pairs ─► value ─► accumulator, by quarter

    A bit plane enters with `address`; `latency` cycles later `restart` and `done` speak of it, and
    a cycle after them it is accumulated. Planes of a vector come highest bit first, without a gap.

    Parameters
    ----------
    segments : int
        Words in a vector.
    columns : int
        Segments whose weights come at once.
    fabric : Fabric

    Members
    -------
    pack : ``In(2)``
        log2 of the tables that four LUT-RAMs make, 0…2.
    fill_pack : ``In(2)``
        The same, of the tables that are filled.
    address : ``In(ArrayLayout(by_table(4), segments))``
        Entry that each LUT-RAM gives.
    restart : ``In(1)``
        The plane is the last of its vector, or none: sums begin anew.
    done : ``In(1)``
        It is the last of its vector, which goes to `o`.
    load, load_data : ``In(...)``, ``In(ArrayLayout(8, columns))``
        Weights of the next tile: which groups of `columns` segments take them.
    control : ``In(FillControl)``
    o : ``Out(ArrayLayout(table_sum_width(segments), 4))``
        Sum of each quarter, in force until the next one.
    """

    def __init__(self, *, segments: int, columns: int, fabric: Fabric):
        self.segments = segments
        self.columns = columns
        self.fabric = fabric
        self.latency = self.latency_of(segments=segments)
        super().__init__(
            {
                "pack": In(2),
                "fill_pack": In(2),
                "address": In(data.ArrayLayout(by_table(LANES), segments)),
                "restart": In(1),
                "done": In(1),
                "load": In(-(-segments // columns)),
                "load_data": In(data.ArrayLayout(8, columns)),
                "control": In(FillControl),
                "o": Out(data.ArrayLayout(table_sum_width(segments), QUARTERS)),
            }
        )

    @staticmethod
    def latency_of(*, segments: int) -> int:
        """Cycles from an address to its `restart` and `done`."""
        return TableSegment.latency + adder_tree_latency(segments) + 1

    def elaborate(self, platform):
        m = Module()
        wide, narrow = Signal(reset_less=True), Signal(reset_less=True)
        fill_wide, fill_narrow = Signal(reset_less=True), Signal(reset_less=True)
        control = Signal(FillControl, reset_less=True)
        load = Signal.like(self.load, reset_less=True)
        load_data = Signal.like(self.load_data, reset_less=True)
        restart, follows, done = (Signal(reset_less=True) for _ in range(3))
        m.d.sync += [
            wide.eq(self.pack == 0),
            narrow.eq(self.pack == 2),
            fill_wide.eq(self.fill_pack == 0),
            fill_narrow.eq(self.fill_pack == 2),
            control.eq(self.control),
            load.eq(self.load),
            load_data.eq(self.load_data),
            restart.eq(self.restart),
            follows.eq(~restart),
            done.eq(self.done),
        ]

        # Tables.
        segments = []
        for index in range(self.segments):
            segment = TableSegment(fabric=self.fabric)
            m.submodules[f"segment_{index}"] = shared(segment, platform)
            m.d.comb += [
                segment.wide.eq(fill_wide),
                segment.narrow.eq(fill_narrow),
                segment.address.eq(self.address[index]),
                segment.load.eq(load[index // self.columns]),
                segment.load_data.eq(load_data[index % self.columns]),
                segment.control.eq(control),
            ]
            segments.append(segment)

        # Trees, and what becomes of their sums.
        for quarter in range(QUARTERS):
            trees = [[segment.o[quarter][t] for segment in segments] for t in range(TABLES)]
            additions = []
            sums = add_trees(m, f"tree_{quarter}", additions, trees, largest=LARGEST_DIGIT)
            self._accumulate(m, quarter, additions, sums, wide, narrow, follows, done)
            self.fabric.add(m, f"quarter_{quarter}", additions)

        return m

    def _accumulate(self, m, quarter, additions, sums, wide, narrow, follows, done):
        """Weigh the LUT-RAMs by how they share a table, and add up the bits of a vector."""
        low_bits = 2
        largest = LARGEST_DIGIT * self.segments

        # Pairs of tables: in a wide table, LUT-RAM 1 is none and LUT-RAM 0 two bits lower.
        high = Signal((2 * largest).bit_length(), name=f"high_{quarter}")
        low = Signal((8 * largest).bit_length(), name=f"low_sum_{quarter}")
        pairs = [Signal.like(s, name=f"{s.name}_r", reset_less=True) for s in (high, low)]
        m.d.comb += low[:low_bits].eq(Mux(wide, sums[0][:low_bits], 0))
        additions += [
            Addition(o=high, a=sums[3], b=sums[1], select=~wide),
            Addition(o=low[low_bits:], a=sums[2], b=sums[0][low_bits:], other=sums[0], select=wide),
        ]
        m.d.sync += [pairs[0].eq(high), pairs[1].eq(low)]

        # Value: the upper LUT-RAM weighs 16 unless it is a table of its own.
        value = Signal((2 * LARGEST_ENTRY * self.segments).bit_length(), name=f"value_{quarter}")
        plane = Signal.like(value, name=f"plane_{quarter}", reset_less=True)
        m.d.comb += value[:low_bits].eq(pairs[1][:low_bits])
        additions.append(
            Addition(
                o=value[low_bits:],
                a=pairs[1][low_bits:],
                b=pairs[0],
                other=pairs[0] << 4,
                select=narrow,
            )
        )
        m.d.sync += plane.eq(value)

        # Bits of the activations, highest first.
        total = Signal(table_sum_width(self.segments), name=f"total_{quarter}")
        so_far = Signal.like(total, name=f"so_far_{quarter}", reset_less=True)
        additions.append(Addition(o=total, a=so_far << 1, gate=follows, b=plane, select=Const(1)))
        m.d.sync += so_far.eq(total)
        result = Signal.like(total, name=f"result_{quarter}", reset_less=True)
        with m.If(done):
            m.d.sync += result.eq(total)
        m.d.comb += self.o[quarter].eq(result)
