"""Partial sums: results of the tiles of the depth added up, pixel by pixel."""

import numpy as np
from amaranth import Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from downshift.hw.mac import dot_layout

__all__ = ["RESIDUAL_PLACE", "PartialSums", "partial_sums", "sums_layout"]

ACC_WIDTH = 32
RESIDUAL_PLACE = 24
"""Bit of a sum where the code of a residual begins; the sum itself has the bits below."""


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
    memory waits, which happens only with one pixel, or two if `pipelined`. `latency` cycles from a
    vector tagged `last` to its sums.

    Parameters
    ----------
    rows : int
        Sums of a pixel.
    dot_width : int
        Bits of an incoming dot product.
    depth : int
        Most vectors in a tile.
    pipelined : bool
        Give the memory's output, and the vector beside it, a register.
    all_layers : bool
        Know `keep`, `resume` and `residual`.

    Members
    -------
    keep, resume, residual : ``In(1)``
        Keep complete sums, too; begin with those that are kept; add dot products
        ``1 << RESIDUAL_PLACE`` times. All are stable during a pass.
    kept : ``Out(1)``
        The last sum was kept in the cycle before, if all are.
    i : ``In(stream.Signature(dot_layout(rows, dot_width)))``
        The n-th vector of every tile belongs to the n-th pixel.
    o : ``Out(stream.Signature(sums_layout(rows)))``
        Complete sums; `end` with the last pixel.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        rows: int,
        dot_width: int,
        depth: int,
        pipelined: bool = True,
        all_layers: bool = False,
    ):
        self.rows = rows
        self.dot_width = dot_width
        self.depth = depth
        self.pipelined = pipelined
        self.all_layers = all_layers
        self.latency = self.latency_of(pipelined=pipelined)
        flags = {"keep": In(1), "resume": In(1), "residual": In(1), "kept": Out(1)}
        super().__init__(
            {
                "i": In(stream.Signature(dot_layout(rows, dot_width))),
                "o": Out(stream.Signature(sums_layout(rows))),
            }
            | (flags if all_layers else {})
        )

    @staticmethod
    def latency_of(*, pipelined: bool) -> int:
        """Cycles from a vector tagged `last` to its sums."""
        return int(pipelined)

    def elaborate(self, platform):
        m = Module()
        sums = data.ArrayLayout(signed(ACC_WIDTH), self.rows)
        m.submodules.memory = memory = Memory(shape=sums, depth=self.depth, init=[])
        read, write = memory.read_port(), memory.write_port()

        # The sum so far of the next vector's pixel is read ahead, unless it is still on its way.
        pixel, next_pixel = Signal(range(self.depth)), Signal(range(self.depth))
        known = Signal()
        advance = Signal()
        taken = Signal()
        keep, resume = (self.keep, self.resume) if self.all_layers else (Const(0), Const(0))
        m.d.comb += [
            self.i.ready.eq(advance & (self.i.p.tags.first | known)),
            taken.eq(self.i.valid & self.i.ready),
            next_pixel.eq(Mux(taken, Mux(self.i.p.tags.end, 0, pixel + 1), pixel)),
            read.addr.eq(next_pixel),
            read.en.eq(1),
        ]
        m.d.sync += pixel.eq(next_pixel)

        # The vector whose sum is made, and its pixel.
        addends = dot_layout(self.rows, ACC_WIDTH if self.all_layers else self.dot_width)
        held = Signal(data.StructLayout({"dots": addends, "pixel": pixel.shape()}))
        coming = [self.i.p.sums[k] for k in range(self.rows)]
        if self.all_layers:
            coming = [Mux(self.residual, dot[:8] << RESIDUAL_PLACE, dot) for dot in coming]
        enter = [held.dots.tags.eq(self.i.p.tags), held.pixel.eq(pixel)]
        enter += [held.dots.sums[k].eq(dot) for k, dot in enumerate(coming)]
        valid = Signal()
        so_far = Signal(sums)
        on_its_way = taken & (pixel == next_pixel)
        if self.pipelined:
            on_its_way |= valid & (held.pixel == next_pixel)
            with m.If(advance):
                m.d.sync += [*enter, valid.eq(taken), so_far.eq(read.data)]
        else:
            m.d.comb += [
                *enter,
                valid.eq(self.i.valid & (self.i.p.tags.first | known)),
                so_far.eq(read.data),
            ]
        m.d.sync += known.eq(~on_its_way)

        # Add, then keep or pass on.
        total = Signal(sums)
        for k in range(self.rows):
            dot = held.dots.sums[k]
            begins = held.dots.tags.first & ~resume
            m.d.comb += total[k].eq(Mux(begins, dot, so_far[k] + dot))
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            write.addr.eq(held.pixel),
            write.data.eq(total),
            write.en.eq(valid & (keep | ~held.dots.tags.last)),
            self.o.valid.eq(valid & held.dots.tags.last & ~keep),
            self.o.p.sums.eq(total),
            self.o.p.end.eq(held.dots.tags.end),
        ]
        if self.all_layers:
            tags = held.dots.tags
            m.d.sync += self.kept.eq(valid & tags.last & tags.end & keep)

        return m
