"""The word queue: words behind a memory that wait to be taken, in LUT-RAM."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["WordQueue"]


class WordQueue(wiring.Component):
    """Hold words in order. Who puts them in has counted that there is room: nothing checks.

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
        A cycle later at the earliest.
    """

    i: stream.Interface
    o: stream.Interface

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
        level = Signal(range(self.depth + 1))
        taken = Signal()
        m.d.comb += [
            taken.eq(self.o.valid & self.o.ready),
            write.en.eq(self.i.valid),
            write.data.eq(self.i.p),
            self.o.p.eq(read.data),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + self.i.valid),
            read.addr.eq(read.addr + taken),
            level.eq(level + self.i.valid - taken),
            self.o.valid.eq(Mux(level == 0, self.i.valid, (level != 1) | self.i.valid | ~taken)),
        ]
        return m
