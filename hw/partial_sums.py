"""Partial sums: results of the tiles of the depth added up, pixel by pixel."""

import numpy as np
from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from downshift.hw.mac import dot_layout

__all__ = ["PartialSums", "partial_sums", "sums_layout"]

ACC_WIDTH = 32


def partial_sums(dots):
    """Add up the tiles of the depth.

    Parameters
    ----------
    dots : int array, shape (tiles, vectors, rows)
        Dot products, tile by tile.

    Returns
    -------
    int32 array, shape (vectors, rows)

    Examples
    --------
    >>> partial_sums([[[1, 2]], [[3, -4]]]).tolist()
    [[4, -2]]
    """
    return np.sum(dots, axis=0, dtype=np.int32)


def sums_layout(rows):
    """Layout of one pixel's sums: int32 for each row, and whether the tile of rows ends."""
    return data.StructLayout({"sums": data.ArrayLayout(signed(ACC_WIDTH), rows), "end": 1})


class PartialSums(wiring.Component):
    """Hold a sum per row for up to `depth` pixels, and pass on those that are complete.

    The twin of `partial_sums`. One vector a cycle; a vector that needs a sum still on its way into
    memory waits, which happens only with fewer than three pixels. `latency` cycles from a vector
    tagged `last` to its sums.

    Parameters
    ----------
    rows : int
        Sums of a pixel.
    dot_width : int
        Bits of an incoming dot product.
    depth : int
        Most vectors in a tile.

    Members
    -------
    i : ``In(stream.Signature(dot_layout(rows, dot_width)))``
        The n-th vector of every tile belongs to the n-th pixel.
    o : ``Out(stream.Signature(sums_layout(rows)))``
        Complete sums; `end` with the last pixel.
    """

    latency = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, rows: int, dot_width: int, depth: int):
        self.rows = rows
        self.dot_width = dot_width
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(dot_layout(rows, dot_width))),
                "o": Out(stream.Signature(sums_layout(rows))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sums = data.ArrayLayout(signed(ACC_WIDTH), self.rows)
        m.submodules.memory = memory = Memory(shape=sums, depth=self.depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        stage = data.StructLayout(
            {"dots": self.i.p.shape(), "pixel": range(self.depth), "valid": 1}
        )

        # Look up the sum so far, unless it is still on its way.
        pixel = Signal(range(self.depth))
        looked, held = Signal(stage), Signal(stage)
        advance = Signal()
        busy = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.o.valid.eq(held.valid & held.dots.tags.last),
            busy.eq(
                (looked.valid & (looked.pixel == pixel)) | (held.valid & (held.pixel == pixel))
            ),
            self.i.ready.eq(advance & (self.i.p.tags.first | ~busy)),
            read.addr.eq(pixel),
            read.en.eq(advance),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += pixel.eq(Mux(self.i.p.tags.end, 0, pixel + 1))
        with m.If(advance):
            m.d.sync += [
                looked.dots.eq(self.i.p),
                looked.pixel.eq(pixel),
                looked.valid.eq(self.i.valid & self.i.ready),
            ]

        # The memory's output has a register of its own.
        so_far = Signal(sums)
        with m.If(advance):
            m.d.sync += [held.eq(looked), so_far.eq(read.data)]

        # Add, then keep or pass on.
        total = Signal(sums)
        for k in range(self.rows):
            start = Mux(held.dots.tags.first, 0, so_far[k])
            m.d.comb += total[k].eq(start + held.dots.sums[k])
        m.d.comb += [
            write.addr.eq(held.pixel),
            write.data.eq(total),
            write.en.eq(advance & held.valid & ~held.dots.tags.last),
        ]
        m.d.comb += [self.o.p.sums.eq(total), self.o.p.end.eq(held.dots.tags.end)]

        return m
