"""The table fill: loads the weights of the next tile, and walks tables through their entries."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.table import LANES, QUARTERS, TABLES
from downshift.hw.table_segment import FillControl

__all__ = ["TableFill", "entry_walk", "fill_cycles", "loaded_channel"]

ENTRIES = 1 << LANES


def entry_walk():
    """Order the entries of a table so that each is one weight away from the one before.

    Returns
    -------
    list of (int, int, bool)
        By step: the entry, which weight leads to the next one, and whether it is taken off.

    Examples
    --------
    >>> entry_walk()[:3]
    [(0, 0, False), (1, 1, False), (3, 0, True)]
    """
    steps = []
    for step in range(ENTRIES):
        entry = step ^ step >> 1
        weight = ((step + 1 & -(step + 1)).bit_length() - 1) % LANES
        steps.append((entry, weight, bool(entry >> weight & 1)))
    return steps


def fill_cycles(channels, *, pack):
    """Cycles in which tables take no vectors while they are filled for `channels` a segment."""
    return ENTRIES * (channels // LANES) >> (pack == 2)


def loaded_channel(count):
    """Place in a segment of the weight that comes after `count` others, as `load_order` has it."""
    return Cat(count[1:3], count[0], count[3:])


class TableFill(wiring.Component):
    """Control of `TableRow`: where weights go, and which LUT-RAMs take which entry.

    Parameters
    ----------
    groups : int
        Words that hold a channel of every segment.
    lead : int
        Cycles that words take which are asked for; fewer than those of a step through a table.

    Members
    -------
    pack, channels : ``In(2)``
        As of `TableArray`.
    taken : ``In(1)``
        A word of weights comes.
    full, room : ``Out(1)``
        The next tile is loaded; it is not.
    asks, begun : ``Out(1)``, ``In(1)``
        There will be room for a tile in `lead` cycles; it is on its way.
    start : ``In(1)``
        Fill the tables; only with `full`.
    busy, soon : ``Out(1)``
        From the cycle after `start`; in the last cycle but one, after which vectors may come.
    combine : ``Out(1)``
        With `taken`: the word is the second of two that are loaded as one.
    load, control : ``Out(groups)``, ``Out(FillControl)``
        As of `TableRow`, a cycle later than `taken` and `start`.
    """

    def __init__(self, *, groups: int, lead: int = 0):
        if lead not in range(ENTRIES):
            raise ValueError(f"Lead must be fewer than {ENTRIES} cycles, not {lead!r}")
        self.groups = groups
        self.lead = lead
        super().__init__(
            {
                "pack": In(2),
                "channels": In(2),
                "taken": In(1),
                "full": Out(1),
                "room": Out(1, init=1),
                "asks": Out(1, init=1),
                "begun": In(1),
                "start": In(1),
                "busy": Out(1),
                "soon": Out(1),
                "combine": Out(1),
                "load": Out(groups),
                "control": Out(FillControl),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Words of the next tile: channels of a group of segments, group by group.
        count, last_count = Signal(5), Signal(5)
        last_word = Signal()
        group = Signal(self.groups, init=1)
        by_pairs, final_part = self.pack == 2, Signal(2)
        done = Signal()
        m.d.comb += self.combine.eq(by_pairs & count[0])
        m.d.sync += [
            last_count.eq((LANES << self.channels) - 1),
            final_part.eq(Mux(by_pairs, (1 << self.channels) >> 1, 1 << self.channels) - 1),
            self.load.eq(Mux(self.taken & (count[0] | ~by_pairs), group, 0)),
        ]
        with m.If(by_pairs):
            m.d.sync += self.control.load_address.eq(count[1:])
        with m.Elif(self.channels == 0):
            m.d.sync += self.control.load_address.eq(count)
        with m.Else():
            m.d.sync += self.control.load_address.eq(loaded_channel(count))
        with m.If(self.taken):
            m.d.sync += [count.eq(count + 1), last_word.eq(count + 1 == last_count)]
            with m.If(last_word):
                m.d.sync += [count.eq(0), last_word.eq(0), group.eq(group.rotate_left(1))]
                with m.If(group[-1]):
                    m.d.sync += [self.full.eq(1), self.room.eq(0)]
        with m.Elif(done):
            m.d.sync += [self.full.eq(0), self.room.eq(1)]

        # Steps: a set of four channels after the other, or two after two others.
        running = Signal()
        part = Signal(2)
        step = Signal(LANES)
        last_step, last_part = Signal(), Signal()
        m.d.comb += [
            last_step.eq(step.all()),
            last_part.eq(part == final_part),
            self.busy.eq(running),
            done.eq(running & last_step & last_part),
            self.soon.eq(running & (step == ENTRIES - 2) & last_part),
        ]
        with m.If(self.start):
            m.d.sync += [running.eq(1), part.eq(0), step.eq(0)]
        with m.Elif(running):
            m.d.sync += step.eq(step + 1)
            with m.If(last_step):
                m.d.sync += part.eq(part + 1)
            with m.If(done):
                m.d.sync += running.eq(0)

        with m.If(running & (step == ENTRIES - 1 - self.lead) & last_part):
            m.d.sync += self.asks.eq(1)
        with m.Elif(self.begun):
            m.d.sync += self.asks.eq(0)

        # Entries: each step also fetches the weight of the next one.
        walk = entry_walk()
        following = Signal(2)
        m.d.comb += following.eq(Array(walk[(k + 1) % ENTRIES][1] for k in range(ENTRIES))[step])
        m.d.sync += [
            # With the entry all the way: a next pass may be told of before the last is written.
            self.control.wide.eq(self.pack == 0),
            self.control.narrow.eq(self.pack == 2),
            self.control.begin.eq(~running | last_step),
            self.control.negate.eq(Array(negate for _, _, negate in walk)[step]),
            self.control.write_address.eq(Array(entry for entry, _, _ in walk)[step]),
            self.control.weight_address.eq(Mux(running, Cat(following, part + last_step), 0)),
        ]

        # Where a set goes: quarters that share a slot have different sets, and so have tables.
        quarters, tables = Signal(QUARTERS), Signal(TABLES)
        with m.Switch(self.pack):
            with m.Case(0):
                m.d.comb += tables.eq(0b1111)
            with m.Default():
                m.d.comb += tables.eq(Mux(part[0], 0b1100, 0b0011))
        share = Signal(2)  # part among those of the quarters of a slot
        m.d.comb += share.eq(Mux(self.pack == 0, part, part >> 1))
        with m.Switch(self.channels - self.pack):
            with m.Case(0):
                m.d.comb += quarters.eq(0b1111)
            with m.Case(1):
                m.d.comb += quarters.eq(Mux(share[0], 0b1010, 0b0101))
            with m.Default():
                m.d.comb += quarters.eq(1 << share)
        for quarter in range(QUARTERS):
            here = running & quarters[quarter]
            m.d.sync += self.control.write[quarter].eq(Mux(here, tables, 0))

        return m
