"""The window: which activation codes meet the weights at each pixel of a convolution."""

import numpy as np
from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from numpy.lib.stride_tricks import sliding_window_view

from downshift.hw.descriptor import LayerDescriptor
from downshift.hw.mac import VectorTags, vector_layout
from downshift.hw.store import ActivationStore, read_port
from downshift.hw.walk import Walk

__all__ = ["Window", "im2col", "window_vectors"]


def im2col(codes, *, kernel, stride, padding, zero_point):
    """Unfold the receptive field of every output pixel.

    Parameters
    ----------
    codes : uint8 array, shape (n, height, width, channels)
        Activation codes.
    kernel, stride : (int, int)
        Kernel and step, vertical and horizontal.
    padding : (int, int, int, int)
        Rows above and below, columns left and right, filled with `zero_point`.
    zero_point : int
        Code of zero.

    Returns
    -------
    uint8 array, shape (n, out_height, out_width, kernel_height, kernel_width, channels)
        A read-only view where no padding was needed.

    Examples
    --------
    >>> im2col(np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1), kernel=(2, 2), stride=(1, 1),
    ...        padding=(0, 0, 1, 0), zero_point=7).reshape(2, 4).tolist()
    [[7, 0, 7, 2], [0, 1, 2, 3]]
    """
    top, bottom, left, right = padding
    if any(padding):
        margins = ((0, 0), (top, bottom), (left, right), (0, 0))
        codes = np.pad(codes, margins, constant_values=zero_point)
    windows = sliding_window_view(codes, kernel, axis=(1, 2))  # (n, y, x, channels, ky, kx)
    return windows[:, :: stride[0], :: stride[1]].transpose(0, 1, 2, 4, 5, 3)


def window_vectors(pixels, *, kernel, stride, padding, pad, lanes, pool=(1, 1), pool_stride=(1, 1)):
    """Order the bytes of a map as the array takes them: the golden function of `Window`.

    Parameters
    ----------
    pixels : uint8 array, shape (height, width, pixel_bytes)
        The map in memory.
    kernel, stride, padding : as for `im2col`
    pad : int
        Byte outside the map.
    lanes : int
        Bytes in a vector.
    pool, pool_stride : (int, int)
        Pooling window and step: the pixels of a window follow each other.

    Returns
    -------
    uint8 array, shape (kernel_height, chunks, vectors, lanes)
        For one tile of output channels; bytes past the end of a kernel row are zero.
    """
    unfolded = im2col(pixels[None], kernel=kernel, stride=stride, padding=padding, zero_point=pad)[
        0
    ]  # (y, x, ky, kx, byte)
    runs = unfolded.reshape(*unfolded.shape[:3], -1)
    pooled = sliding_window_view(runs, pool, axis=(0, 1))[:: pool_stride[0], :: pool_stride[1]]
    ordered = pooled.transpose(2, 0, 1, 4, 5, 3)  # (ky, row, column, pool row, pool column, byte)
    run = ordered.shape[-1]
    vectors = ordered.reshape(kernel[0], -1, run)
    padded = np.zeros((*vectors.shape[:2], -(-run // lanes) * lanes), np.uint8)
    padded[..., :run] = vectors
    return padded.reshape(*vectors.shape[:2], -1, lanes).transpose(0, 2, 1, 3)


class Window(wiring.Component):
    """Stream the receptive field of every output pixel, chunk by chunk, tile by tile.

    The twin of `window_vectors`, repeated for each tile of output channels; bytes past the end of a
    kernel row are whatever follows, since their weights are zero. One kernel row of a pixel is one
    run of bytes in memory, so a chunk is `lanes` neighbouring bytes:

        map      | . . . . . . |       chunk 0   chunk 1
        row y    | . a b c . . |  ->   a a b b   b c c -     (pixels of 2 … 3 bytes, 4 lanes)

    One vector a cycle, the first `latency` cycles after `start`.

    Parameters
    ----------
    lanes : int
        Bytes in a vector.
    depth : int
        Bytes of activation memory; no map, and no loop over its bytes, is longer.
    pixels : int
        Most pixels of a pass, before pooling.
    pipelined : bool
        Give the address, and what the memory reads, registers of their own.
    all_layers : bool
        Know `grouped`.

    Members
    -------
    layer : ``In(LayerDescriptor)``
    start : ``In(1)``
        Begin a pass; ignored during one.
    read : ``Out(read_port(depth, ...))``
        Port of the activation memory.
    advance : ``Out(1)``
        What was asked for goes on, as in an `ActivationStore`.
    o : ``Out(stream.Signature(vector_layout(lanes)))``
    """

    o: stream.Interface

    def __init__(
        self,
        *,
        lanes: int,
        depth: int,
        pixels: int,
        pipelined: bool = True,
        all_layers: bool = False,
    ):
        self.lanes = lanes
        self.depth = depth
        self.pixels = pixels
        self.pipelined = pipelined
        self.all_layers = all_layers
        self.latency = self.latency_of(pipelined=pipelined)
        super().__init__(
            {
                "layer": In(LayerDescriptor),
                "start": In(1),
                "read": Out(read_port(depth, data.ArrayLayout(8, lanes))),
                "advance": Out(1),
                "o": Out(stream.Signature(vector_layout(lanes))),
            }
        )

    @staticmethod
    def latency_of(*, pipelined: bool) -> int:
        """Cycles from `start` to the first vector."""
        return 3 + pipelined + ActivationStore.latency_of(pipelined=pipelined)

    def elaborate(self, platform):
        m = Module()
        layer = self.layer

        # Where the window stands: byte offset of its row, and of its column within the row.
        m.submodules.walk = walk = Walk(depth=self.depth, pixels=self.pixels)
        advance = self.advance
        m.d.comb += [
            walk.layer.eq(layer),
            walk.start.eq(self.start),
            walk.chunk_bytes.eq(
                Mux(layer.grouped, layer.column_bytes, self.lanes)
                if self.all_layers
                else self.lanes
            ),
            walk.advance.eq(advance),
        ]

        # Address, and whether the row is inside the map.
        asked = Signal(
            data.StructLayout(
                {"valid": 1, "tags": VectorTags, "row_inside": 1, "column": walk.column.shape()}
            )
        )
        asking = [
            self.read.address.eq(layer.in_base + walk.row + walk.column),
            asked.valid.eq(walk.running),
            asked.tags.eq(walk.tags),
            asked.row_inside.eq((walk.row >= 0) & (walk.row < layer.map_bytes)),
            asked.column.eq(walk.column),
        ]
        if self.pipelined:
            with m.If(advance):
                m.d.sync += asking
        else:
            m.d.comb += asking
        m.d.comb += self.read.enable.eq(asked.valid & advance)

        # Which lanes are inside: those from column 0, as many as the row has room for.
        split = exact_log2(self.lanes)
        read = Signal(data.StructLayout({"valid": 1, "tags": VectorTags, "inside": self.lanes}))
        room = Signal(signed(len(walk.column) + 1))
        m.d.comb += room.eq(layer.row_bytes[: len(walk.column)] - asked.column)
        before = asked.column[-1]
        near = asked.column[split:].all()  # less than a vector before column 0
        full = room[split:].any()
        with m.If(advance):
            m.d.sync += [read.valid.eq(asked.valid), read.tags.eq(asked.tags)]
            for lane in range(self.lanes):
                begun = ~before | (near & (asked.column[:split] >= self.lanes - lane))
                ended = room[-1] | ~(full | (room[:split] > lane))
                m.d.sync += read.inside[lane].eq(asked.row_inside & begun & ~ended)

        for cycle in range(1, ActivationStore.latency_of(pipelined=self.pipelined)):
            held = Signal.like(read, name=f"held_{cycle}")
            with m.If(advance):
                m.d.sync += held.eq(read)
            read = held

        # Now the bytes are there; those outside the map are replaced.
        vector = Signal(data.ArrayLayout(8, self.lanes))
        for lane in range(self.lanes):
            m.d.comb += vector[lane].eq(Mux(read.inside[lane], self.read.data[lane], layer.pad))

        m.d.comb += advance.eq(~self.o.valid | self.o.ready)
        with m.If(advance):
            m.d.sync += [
                self.o.valid.eq(read.valid),
                self.o.p.lanes.eq(vector),
                self.o.p.tags.eq(read.tags),
            ]

        return m
