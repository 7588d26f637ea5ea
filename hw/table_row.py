"""One output channel of a table array: tables, trees and accumulators."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.adder_tree import add_trees, adder_tree_latency
from downshift.hw.fabric import Addition, Fabric
from downshift.hw.generate import shared
from downshift.hw.table import LANES, QUARTERS, TABLES
from downshift.hw.table_chain import TableChain
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

    A bit plane enters with `address`; `latency` cycles later it is accumulated, while `follows` and
    `done` speak of it. Planes of a vector come highest bit first, without a gap.

    Parameters
    ----------
    segments : int
        Words in a vector.
    columns : int
        Segments whose weights come at once.
    fabric : Fabric

    Members
    -------
    wide, narrow : ``In(1)``
        Four LUT-RAMs make one table, or four.
    address : ``In(ArrayLayout(by_table(4), segments))``
        Entry that each LUT-RAM gives.
    follows : ``In(1)``
        The plane before it belongs to the same vector.
    done : ``In(1)``
        It is the last of its vector, which goes to `o`.
    load, load_data : ``In(...)``, ``In(ArrayLayout(8, columns))``
        Weights of the next tile: which groups of `columns` segments take them.
    control : ``In(FillControl)``
    o : ``Out(ArrayLayout(table_sum_width(segments), 4))``
        Sum of each quarter, a cycle after `done`, in force until the next one.
    """

    def __init__(self, *, segments: int, columns: int, fabric: Fabric):
        self.segments = segments
        self.columns = columns
        self.fabric = fabric
        self.latency = self.latency_of(segments=segments)
        super().__init__(
            {
                "wide": In(1),
                "narrow": In(1),
                "address": In(data.ArrayLayout(by_table(LANES), segments)),
                "follows": In(1),
                "done": In(1),
                "load": In(-(-segments // columns)),
                "load_data": In(data.ArrayLayout(8, columns)),
                "control": In(FillControl),
                "o": Out(data.ArrayLayout(table_sum_width(segments), QUARTERS)),
            }
        )

    @staticmethod
    def latency_of(*, segments: int) -> int:
        """Cycles from an address to its `follows` and `done`; its sum comes a cycle later."""
        return TableSegment.latency + adder_tree_latency(segments) + 2

    def elaborate(self, platform):
        m = Module()
        # Tables.
        entries = []
        for index, first in enumerate(range(0, self.segments, self.columns)):
            count = min(self.columns, self.segments - first)
            chain = TableChain(segments=count, fabric=self.fabric)
            m.submodules[f"chain_{index}"] = shared(chain, platform)
            m.d.comb += [
                *(chain.address[k].eq(self.address[first + k]) for k in range(count)),
                chain.load.eq(self.load[index]),
                *(chain.load_data[k].eq(self.load_data[k]) for k in range(count)),
                chain.control.eq(self.control),
            ]
            entries += [chain.o[k] for k in range(count)]

        # Trees, and what becomes of their sums.
        done = Signal()
        m.d.sync += done.eq(self.done)
        for quarter in range(QUARTERS):
            trees = [[entry[quarter][t] for entry in entries] for t in range(TABLES)]
            additions = []
            sums = add_trees(m, f"tree_{quarter}", additions, trees, largest=LARGEST_DIGIT)
            self._accumulate(m, quarter, additions, sums, done)
            self.fabric.add(m, f"quarter_{quarter}", additions)

        return m

    def _accumulate(self, m, quarter, additions, sums, done):
        """Weigh the LUT-RAMs by how they share a table, and add up the bits of a vector."""
        low_bits = 2
        largest = LARGEST_DIGIT * self.segments

        # Pairs of tables: in a wide table, LUT-RAM 1 is none and LUT-RAM 0 two bits lower.
        high = Signal((2 * largest).bit_length(), name=f"high_{quarter}")
        low = Signal((8 * largest).bit_length(), name=f"low_sum_{quarter}")
        pairs = [Signal.like(s, name=f"{s.name}_r", reset_less=True) for s in (high, low)]
        m.d.comb += low[:low_bits].eq(Mux(self.wide, sums[0][:low_bits], 0))
        additions += [
            Addition(o=high, a=sums[3], b=sums[1], select=~self.wide),
            Addition(
                o=low[low_bits:], a=sums[2], b=sums[0][low_bits:], other=sums[0], select=self.wide
            ),
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
                select=self.narrow,
            )
        )
        m.d.sync += plane.eq(value)

        # Bits of the activations, highest first.
        total = Signal(table_sum_width(self.segments), name=f"total_{quarter}")
        so_far = Signal.like(total, name=f"so_far_{quarter}", reset_less=True)
        additions.append(
            Addition(o=total, a=so_far << 1, gate=self.follows, b=plane, select=Const(1))
        )
        m.d.sync += so_far.eq(total)
        result = Signal.like(total, name=f"result_{quarter}", reset_less=True)
        with m.If(done):
            m.d.sync += result.eq(so_far)
        m.d.comb += self.o[quarter].eq(result)
