"""Tiles: the weights that a brick array works with, held by digit while the next are loaded."""

from amaranth import Cat, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from downshift.hw.digit_tree import DIGITS

__all__ = ["MemoryTile", "RegisterTile", "tile_kind", "tile_signature"]

DIGIT = 2
"""Bits of a digit."""


def tile_signature(*, rows, lanes):
    """Ports of a tile store; both kinds are interchangeable behind them.

    Returns
    -------
    wiring.Signature
        With the members

        pack : ``In(2)``
            log2 of the activation codes in a byte, 0…2.
        top_digit : ``In(2)``
            Highest digit of the weights.
        i : ``In(stream.Signature(ArrayLayout(signed(8), rows)))``
            Words of the next tile.
        full : ``Out(1)``
            The next tile waits.
        swap : ``In(1)``
            From the next cycle on it is the one in use; only with `full`.
        digit : ``In(2)``
            Digit to show in the next cycle.
        o : ``Out(ArrayLayout(ArrayLayout(ArrayLayout(2, 4), lanes), rows))``
            Digit of the weights in use, by row, lane and digit of the activation that it meets.
            Weights are offset by half their range, and so unsigned.
    """
    digits = data.ArrayLayout(data.ArrayLayout(DIGIT, DIGITS), lanes)
    return wiring.Signature(
        {
            "pack": In(2),
            "top_digit": In(2),
            "i": In(stream.Signature(data.ArrayLayout(signed(8), rows))),
            "full": Out(1),
            "swap": In(1),
            "digit": In(2),
            "o": Out(data.ArrayLayout(digits, rows)),
        }
    )


class TilePlaces(wiring.Component):
    """Count the words of a tile into their places.

    Parameters
    ----------
    lanes : int
        Activation bytes consumed at once.

    Members
    -------
    pack : ``In(2)``
        log2 of the codes in a byte.
    taken : ``In(1)``
        A word goes to its place.
    here : ``Out(4 * lanes)``
        Lane and digit positions of that word.
    full : ``Out(1)``
        The tile is complete.
    swap : ``In(1)``
        Begin the next one.
    """

    def __init__(self, *, lanes: int):
        self.lanes = lanes
        super().__init__(
            {
                "pack": In(2),
                "taken": In(1),
                "here": Out(DIGITS * lanes),
                "full": Out(1),
                "swap": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lane = Signal(range(self.lanes))
        slot = Signal(2)  # code within the byte

        with m.If(self.swap):
            m.d.sync += self.full.eq(0)
        with m.If(self.taken):
            m.d.sync += slot.eq(slot + 1)
            with m.If(slot == (1 << self.pack) - 1):
                m.d.sync += [slot.eq(0), lane.eq(lane + 1)]
                with m.If(lane == self.lanes - 1):
                    m.d.sync += [lane.eq(0), self.full.eq(1)]

        # A code of the byte covers all, two or one of the digit positions.
        positions = Signal(DIGITS)
        with m.Switch(self.pack):
            for pack in range(3):
                with m.Case(pack):
                    m.d.comb += positions.eq(Cat(slot == k >> 2 - pack for k in range(DIGITS)))
        m.d.comb += self.here.eq(
            Cat((lane == k).replicate(DIGITS) & positions for k in range(self.lanes))
        )

        return m


class _Tile(wiring.Component):
    """What both kinds of tile store share: ports, and where the words go."""

    i: stream.Interface

    def __init__(self, *, rows: int, lanes: int):
        self.rows = rows
        self.lanes = lanes
        super().__init__(dict(tile_signature(rows=rows, lanes=lanes).members))

    def _count(self, m):
        """Count words into their places."""
        m.submodules.places = places = TilePlaces(lanes=self.lanes)
        m.d.comb += [
            places.pack.eq(self.pack),
            places.swap.eq(self.swap),
            places.taken.eq(self.i.valid & self.i.ready),
            self.full.eq(places.full),
        ]
        return places

    def _unsigned(self, row):
        """The weight of a row, offset by half its range."""
        return self.i.p[row] ^ (2 << (self.top_digit << 1))


class RegisterTile(_Tile):
    """Two tiles in flip-flops: a word a cycle, and the next tile may begin as this one is swapped.

    Parameters
    ----------
    rows, lanes : int

    Members
    -------
    See `tile_signature`.
    """

    load_gap = 0
    """Cycles between the last word of a tile and the first of the next, at least."""

    @staticmethod
    def load_cycles(words, digits):
        """Cycles in which `words` of weights of `digits` are loaded."""
        return words

    def elaborate(self, platform):
        m = Module()
        places = self._count(m)
        m.d.comb += self.i.ready.eq(~self.full | self.swap)

        digit = Signal.like(self.digit)
        m.d.sync += digit.eq(self.digit)
        for row in range(self.rows):
            code = self._unsigned(row)
            for lane in range(self.lanes):
                for position in range(DIGITS):
                    shadow = Signal(8, name=f"shadow_{row}_{lane}_{position}")
                    active = Signal(8, name=f"active_{row}_{lane}_{position}")
                    with m.If(places.taken & places.here[lane * DIGITS + position]):
                        m.d.sync += shadow.eq(code)
                    with m.If(self.swap):
                        m.d.sync += active.eq(shadow)
                    m.d.comb += self.o[row][lane][position].eq(active.word_select(digit, DIGIT))

        return m


class MemoryTile(_Tile):
    """Two tiles in block memory, a word for each digit: small, but a digit a cycle to load.

    It takes a memory that writes single bits, as that of iCE40.

    Parameters
    ----------
    rows, lanes : int

    Members
    -------
    See `tile_signature`.
    """

    load_gap = 1
    """Cycles between the last word of a tile and the first of the next, at least."""

    @staticmethod
    def load_cycles(words, digits):
        """Cycles in which `words` of weights of `digits` are loaded."""
        return words * digits

    def elaborate(self, platform):
        m = Module()
        places = self._count(m)
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(DIGIT, self.rows * self.lanes * DIGITS),
            depth=2 * DIGITS,
            init=[],
        )
        write, read = memory.write_port(granularity=1), memory.read_port()

        # Digit by digit, lowest first, into the tile that is not in use.
        in_use = Signal()
        loading = Signal(2)
        load = Signal()
        m.d.comb += [
            load.eq(self.i.valid & ~self.full),
            self.i.ready.eq(~self.full & (loading == self.top_digit)),
            write.addr.eq(Value.cast(loading) | (~in_use << 2)),
        ]
        with m.If(load):
            m.d.sync += loading.eq(loading + 1)
            with m.If(self.i.ready):
                m.d.sync += loading.eq(0)
        for row in range(self.rows):
            code = self._unsigned(row)
            for index in range(self.lanes * DIGITS):
                place = row * self.lanes * DIGITS + index
                m.d.comb += [
                    write.data[place].eq(code.word_select(loading, DIGIT)),
                    write.en[place].eq(load & places.here[index]),
                ]

        with m.If(self.swap):
            m.d.sync += in_use.eq(~in_use)
        m.d.comb += [
            read.addr.eq(self.digit | ((in_use ^ self.swap) << 2)),
            read.en.eq(1),
            Value.cast(self.o).eq(read.data),
        ]

        return m


def tile_kind(*, in_memory: bool):
    """Return the class that holds the weights in use: `MemoryTile` or `RegisterTile`."""
    return MemoryTile if in_memory else RegisterTile
