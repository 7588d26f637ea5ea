"""The tile of a `DspArray`: the weights of each code, or of several codes at once."""

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from downshift.hw.digit_tree import DIGITS

__all__ = ["CodeTile"]


class CodeTile(wiring.Component):
    """Two tiles in memory, a word for each step through a byte: a word a cycle to load.

    A word holds for each row and lane a weight; or two of 4 bits as ``16 * first + second``; or
    four of 2 bits, the first one lowest.

    Parameters
    ----------
    rows, lanes : int
    pairs : bool
        Two weights may share a word.

    Members
    -------
    last_code : ``In(2)``
        Codes in a byte, less one.
    paired : ``In(1)``
        Weights have 4 bits at most, and two share a word; only with `pairs`.
    together : ``In(1)``
        Weights have 2 bits, and all four of a byte share a word.
    i : ``In(stream.Signature(ArrayLayout(signed(8), rows)))``
        Words of the next tile: weight of code 0 of byte 0 for every row, code 1, …
    full : ``Out(1)``
        The next tile waits.
    swap : ``In(1)``
        From the next cycle on it is the one in use; only with `full`.
    step : ``In(2)``
        Word to show in the next cycle: codes before it over codes in a word.
    o : ``Out(ArrayLayout(ArrayLayout(8 + pairs, rows), lanes))``
        Weights in use.
    """

    load_gap = 1
    """Cycles between the last word of a tile and the first of the next, at least."""

    i: stream.Interface

    def __init__(self, *, rows: int, lanes: int, pairs: bool = True):
        self.rows = rows
        self.lanes = lanes
        self.words = data.ArrayLayout(self.bits_of(pairs=pairs), rows)
        super().__init__(
            {
                "last_code": In(2),
                "paired": In(1),
                "together": In(1),
                "i": In(stream.Signature(data.ArrayLayout(signed(8), rows))),
                "full": Out(1),
                "swap": In(1),
                "step": In(2),
                "o": Out(data.ArrayLayout(self.words, lanes)),
            }
        )

    @staticmethod
    def bits_of(*, pairs: bool) -> int:
        """Bits of a word for each row and lane."""
        return 8 + pairs

    def elaborate(self, platform):
        m = Module()
        lane, code = Signal(range(self.lanes)), Signal(2)
        in_use, load = Signal(), Signal()
        m.d.comb += [self.i.ready.eq(~self.full), load.eq(self.i.valid & ~self.full)]
        with m.If(self.swap):
            m.d.sync += [self.full.eq(0), in_use.eq(~in_use)]
        with m.If(load):
            m.d.sync += code.eq(code + 1)
            with m.If(code == self.last_code):
                m.d.sync += [code.eq(0), lane.eq(lane + 1)]
                with m.If(lane == self.lanes - 1):
                    m.d.sync += [lane.eq(0), self.full.eq(1)]

        # Weights that share a word are written with the last of them, by each of them.
        word = Signal(self.words)
        for row in range(self.rows):
            weight = self.i.p[row]
            before = Signal(6, name=f"before_{row}")
            with m.If(self.together):
                m.d.comb += word[row].eq(Cat(before, weight[:2]))
            with m.Elif(self.paired):
                m.d.comb += word[row].eq((before[:4].as_signed() << 4) + weight)
            with m.Else():
                m.d.comb += word[row].eq(weight)
            with m.If(load):
                m.d.sync += before.eq(Mux(self.together, Cat(before, weight[:2])[2:], weight))
        address = Mux(self.together, 0, Mux(self.paired, code[1], code))

        for index in range(self.lanes):
            memory = Memory(shape=self.words, depth=2 * DIGITS, init=[])
            m.submodules[f"lane_{index}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(load & (lane == index)),
                write.addr.eq(Cat(address, ~in_use)),
                write.data.eq(word),
                read.addr.eq(Cat(self.step, in_use ^ self.swap)),
                read.en.eq(1),
                Value.cast(self.o[index]).eq(Value.cast(read.data)),
            ]
        return m
