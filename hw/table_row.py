"""One output channel of a table array: tables, trees, accumulators, and what fills the tables."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.adder_tree import add_trees, adder_tree_latency
from downshift.hw.fabric import Addition, Fabric
from downshift.hw.table import ENTRY_OFFSET, ENTRY_WIDTH, LANES, QUARTERS, TABLES

__all__ = ["TableRow", "table_sum_width"]

LARGEST_ENTRY = 4 * 255
LARGEST_DIGIT = 15


def table_sum_width(segments):
    """Bits of the unsigned sum of a quarter."""
    return (LARGEST_ENTRY * 255 * segments).bit_length()


class TableRow(wiring.Component):
    """Sum one output channel for each quarter of a vector, one bit of the activations at a time.

    ::

        weights ─► entry of each segment ─► tables ─► trees ─► E, G ─► value ─► accumulator, by
                                              ▲                                 quarter
                                           address

    A bit plane enters with `address`, its value reaches the accumulators `latency` cycles later;
    planes of a vector come highest bit first, without a gap. Every input has a register of its own
    in the row, so that no net spans the array.

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
    address : ``In(...)``
        Entry that each LUT-RAM gives, by segment, quarter and LUT-RAM.
    restart : ``In(1)``
        The value that reaches the accumulators is the last of its vector, or none: they begin anew.
    done : ``In(1)``
        It is the last of its vector, which goes to `o`.
    load, load_address, load_data : ``In(...)``
        Weights of the next tile: which groups of `columns` segments take them, as which channel.
    weight_address : ``In(4)``
        Channel whose weight is added two cycles later.
    begin, negate : ``In(1)``
        The next entry is that of no weight; the weight is taken off.
    write, write_address : ``In(ArrayLayout(4, 4))``, ``In(4)``
        LUT-RAMs of each quarter that take the entry, and where.
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
                "address": In(self.address_layout(segments)),
                "restart": In(1),
                "done": In(1),
                "load": In(-(-segments // columns)),
                "load_address": In(4),
                "load_data": In(data.ArrayLayout(8, columns)),
                "weight_address": In(4),
                "begin": In(1),
                "negate": In(1),
                "write": In(data.ArrayLayout(TABLES, QUARTERS)),
                "write_address": In(4),
                "o": Out(data.ArrayLayout(table_sum_width(segments), QUARTERS)),
            }
        )

    @staticmethod
    def address_layout(segments: int) -> data.ArrayLayout:
        """Addresses by segment, quarter and LUT-RAM."""
        tables = data.ArrayLayout(data.ArrayLayout(LANES, TABLES), QUARTERS)
        return data.ArrayLayout(tables, segments)

    @staticmethod
    def latency_of(*, segments: int) -> int:
        """Cycles from an address to its value at the accumulators: to `restart` and `done`."""
        return 1 + adder_tree_latency(segments) + 2

    def elaborate(self, platform):
        m = Module()
        i = self._register_inputs(m)
        wide, narrow = Signal(), Signal()
        m.d.sync += [wide.eq(i.pack == 0), narrow.eq(i.pack == 2)]

        # What goes into the tables, segment by segment.
        contents = [self._fill(m, i, segment, wide, narrow) for segment in range(self.segments)]

        for quarter in range(QUARTERS):
            # Tables.
            trees = [[] for _ in range(TABLES)]
            for segment in range(self.segments):
                for table in range(TABLES):
                    name = f"table_{segment}_{quarter}_{table}"
                    read = Signal(4, name=f"{name}_read")
                    picked = Signal(4, name=f"{name}_picked", reset_less=True)
                    self.fabric.lut_ram(
                        m,
                        name,
                        address=i.address[segment][quarter][table],
                        data=read,
                        write=i.write[quarter][table],
                        write_address=i.write_address,
                        write_data=contents[segment][table],
                    )
                    m.d.sync += picked.eq(read)
                    trees[table].append(picked)

            # Trees.
            sums = add_trees(m, f"tree_{quarter}", self.fabric, trees, largest=LARGEST_DIGIT)
            self._accumulate(m, i, quarter, sums, wide, narrow)

        return m

    def _register_inputs(self, m):
        """All inputs, a cycle later."""
        inputs = {name: member for name, member in self.signature.members.items() if member.is_port}
        late = Signal(
            data.StructLayout({name: port.shape for name, port in inputs.items() if name != "o"}),
            name="late",
            reset_less=True,
        )
        m.d.sync += [late[name].eq(getattr(self, name)) for name in inputs if name != "o"]
        return late

    def _fill(self, m, i, segment, wide, narrow):
        """Walk through the entries of a segment; return what each of four LUT-RAMs takes."""
        stored = Signal(8, name=f"stored_{segment}")
        weight = Signal(8, name=f"weight_{segment}", reset_less=True)
        for half in range(2):
            self.fabric.lut_ram(
                m,
                f"weights_{segment}_{half}",
                address=i.weight_address,
                data=stored[4 * half : 4 * half + 4],
                write=i.load[segment // self.columns],
                write_address=i.load_address,
                write_data=i.load_data[segment % self.columns][4 * half : 4 * half + 4],
            )
        m.d.sync += weight.eq(stored)

        entry = Signal(ENTRY_WIDTH, name=f"entry_{segment}", reset_less=True)
        following = Signal(ENTRY_WIDTH, name=f"following_{segment}")
        operand = Cat(weight, weight[-1].replicate(ENTRY_WIDTH - len(weight)))
        self.fabric.add(
            m,
            f"step_{segment}",
            [Addition(o=following, a=entry, b=operand, negate=i.negate)],
        )
        m.d.sync += entry.eq(following)
        with m.If(i.begin):
            m.d.sync += entry.eq(ENTRY_OFFSET)

        low, lowest = Signal(4, name=f"low_{segment}"), Signal(4, name=f"lowest_{segment}")
        m.d.comb += [
            low.eq(Mux(narrow, entry[6:], entry[2:6])),
            lowest.eq(Mux(wide, entry[:2], low)),
        ]
        return [lowest, entry[6:], low, entry[6:]]

    def _accumulate(self, m, i, quarter, sums, wide, narrow):
        """Weigh the LUT-RAMs by how they share a table, and add up the bits of a vector."""
        low_bits = 2
        largest = LARGEST_DIGIT * self.segments

        # Pairs of tables: in a wide table, LUT-RAM 1 is none and LUT-RAM 0 two bits lower.
        high = Signal((2 * largest).bit_length(), name=f"high_{quarter}")
        low = Signal((8 * largest).bit_length(), name=f"low_sum_{quarter}")
        pairs = [Signal.like(s, name=f"{s.name}_r", reset_less=True) for s in (high, low)]
        m.d.comb += low[:low_bits].eq(Mux(wide, sums[0][:low_bits], 0))
        self.fabric.add(
            m,
            f"pairs_{quarter}",
            [
                Addition(o=high, a=sums[3], b=sums[1], select=~wide),
                Addition(
                    o=low[low_bits:], a=sums[2], b=sums[0][low_bits:], other=sums[0], select=wide
                ),
            ],
        )
        m.d.sync += [pairs[0].eq(high), pairs[1].eq(low)]

        # Value: the upper LUT-RAM weighs 16 unless it is a table of its own.
        value = Signal((2 * LARGEST_ENTRY * self.segments).bit_length(), name=f"value_{quarter}")
        plane = Signal.like(value, name=f"plane_{quarter}", reset_less=True)
        m.d.comb += value[:low_bits].eq(pairs[1][:low_bits])
        self.fabric.add(
            m,
            f"value_{quarter}",
            [
                Addition(
                    o=value[low_bits:],
                    a=pairs[1][low_bits:],
                    b=pairs[0],
                    other=pairs[0] << 4,
                    select=narrow,
                )
            ],
        )
        m.d.sync += plane.eq(value)

        # Bits of the activations, highest first.
        total = Signal(table_sum_width(self.segments), name=f"total_{quarter}")
        so_far = Signal.like(total, name=f"so_far_{quarter}", reset_less=True)
        self.fabric.add(m, f"total_{quarter}", [Addition(o=total, a=so_far << 1, b=plane)])
        m.d.sync += so_far.eq(total)
        with m.If(i.restart):
            m.d.sync += so_far.eq(0)
        with m.If(i.done):
            m.d.sync += self.o[quarter].eq(total)
