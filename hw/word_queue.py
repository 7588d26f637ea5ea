"""The word queue: words behind a memory that wait to be taken, in LUT-RAM."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["WordQueue"]


class WordQueue(wiring.Component):
    """Hold words in order. Who puts them in has counted that there is room: nothing checks.

    LUT-RAMs are where the words come from, the register behind them where they go.

    Parameters
    ----------
    shape : ShapeLike
        Of a word.
    depth : int
        Words; a power of two.

    Members
    -------
    i : ``In(stream.Signature(shape, always_ready=True))``
    o : ``Out(stream.Signature(shape))``
        `latency` cycles later at the earliest.
    """

    i: stream.Interface
    o: stream.Interface

    latency = 2

    def __init__(self, *, shape, depth: int):
        if depth < 2 or depth & depth - 1:
            raise ValueError(f"Depth must be a power of two, not {depth!r}")
        self.shape = shape
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape, always_ready=True)),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        level, any_held = Signal(range(self.depth + 1)), Signal()
        free, moves = Signal(), Signal()
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            moves.eq(any_held & free),
            write.en.eq(self.i.valid),
            write.data.eq(self.i.p),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + self.i.valid),
            read.addr.eq(read.addr + moves),
            level.eq(level + self.i.valid - moves),
            any_held.eq(Mux(level == 0, self.i.valid, (level != 1) | self.i.valid | ~moves)),
        ]
        with m.If(free):
            m.d.sync += [self.o.valid.eq(any_held), self.o.p.eq(read.data)]
        return m
