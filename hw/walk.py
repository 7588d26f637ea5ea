"""The walk: where in activation memory the window stands, vector by vector."""

from enum import IntEnum

from amaranth import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from downshift.hw.descriptor import LayerDescriptor
from downshift.hw.mac import VectorTags

__all__ = ["Walk"]


class Origin(IntEnum):
    """Where a step starts from."""

    HERE = 0
    PIXEL = 1
    """Where the pooled pixel began."""
    TILE = 2
    """Where the tile began."""
    PASS = 3
    """Where the pass began."""


class Step(data.Struct):
    """From one position to the next: along each axis from an origin, by a stride of the layer."""

    row_from: Origin
    row_by: 2
    column_from: Origin
    column_by: 2
    pixel: 1
    """A pooled pixel begins."""
    tile: 1
    """A tile begins."""


LOOPS = (
    # Of the pooling window: column, row.
    {"row_from": Origin.HERE, "column_from": Origin.HERE, "column_by": 1},
    {"row_from": Origin.HERE, "row_by": 1, "column_from": Origin.PIXEL},
    # Of the pooled pixel: column, row.
    {"row_from": Origin.PIXEL, "column_from": Origin.PIXEL, "column_by": 2, "pixel": 1},
    {"row_from": Origin.PIXEL, "row_by": 2, "column_from": Origin.TILE, "pixel": 1},
    # Of the tile of weights: chunk of the kernel row, kernel row, tile of output channels.
    {"row_from": Origin.TILE, "column_from": Origin.TILE, "column_by": 3, "pixel": 1, "tile": 1},
    {"row_from": Origin.TILE, "row_by": 3, "column_from": Origin.PASS, "pixel": 1, "tile": 1},
    {"row_from": Origin.PASS, "column_from": Origin.PASS, "pixel": 1, "tile": 1},
)
"""The step of each loop, innermost first; the last one also begins the pass."""


class Walk(wiring.Component):
    """Count through tiles, kernel rows, chunks, output pixels and pooling windows.

    Parameters
    ----------
    depth, pixels : int
        As for `Window`.

    Members
    -------
    layer, start : as for `Window`
    chunk_bytes : ``In(16)``
        Step from one chunk to the next.
    advance : ``In(1)``
        Go on to the next position.
    running : ``Out(1)``
        The position is part of the pass, from `latency` cycles after `start`.
    row, column : ``Out(signed(position_width))``
        Bytes from the start of the map to the row, and from there to the column.
    tags : ``Out(VectorTags)``
    """

    latency = 2

    def __init__(self, *, depth: int, pixels: int):
        self.depth = depth
        self.pixels = pixels
        position = signed(ceil_log2(depth) + 2)
        super().__init__(
            {
                "layer": In(LayerDescriptor),
                "start": In(1),
                "chunk_bytes": In(16),
                "advance": In(1),
                "running": Out(1),
                "row": Out(position),
                "column": Out(position),
                "tags": Out(VectorTags),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        # `advance` comes late: it only enables.
        move = Signal()
        m.d.comb += move.eq(~self.running | self.advance)

        # Loops, counted down; one steps when all inside it are at their last. They are a position
        # ahead, and `step` leads there.
        lasts = [
            layer.last_pool_column, layer.last_pool_row, layer.last_column, layer.last_row,
            layer.last_chunk, layer.last_kernel_row, layer.last_tile,
        ]  # fmt: skip
        widths = [ceil_log2(self.pixels)] * 4 + [ceil_log2(self.depth)] * 3
        counting, count = Signal(), Signal()
        at_last = Signal(len(LOOPS))
        step = Signal(Step)
        m.d.comb += count.eq(Mux(counting, move, self.start))
        with m.If(count):
            m.d.sync += counting.eq(~(counting & at_last.all()))
            m.d.sync += step.eq(Step.const(LOOPS[-1]))
        for k, last in enumerate(lasts):
            bits = min(len(last), widths[k])
            counter = Signal(bits, name=f"loop_{k}")
            steps = counting & ~at_last[k]
            with m.If(count & (~counting | at_last[:k].all())):
                m.d.sync += [
                    counter.eq(Mux(steps, counter - 1, last[:bits])),
                    at_last[k].eq(Mux(steps, counter == 1, last[:bits] == 0)),
                ]
                with m.If(steps):
                    m.d.sync += step.eq(Step.const(LOOPS[k]))

        # The position, and where the pooled pixel and the tile began.
        with m.If(move):
            m.d.sync += self.running.eq(counting)
        for position, start, origin, by, strides in (
            (self.row, layer.row_start, step.row_from, step.row_by,
             (0, layer.step_y, layer.step_row, layer.row_bytes)),
            (self.column, layer.column_start, step.column_from, step.column_by,
             (0, layer.step_x, layer.step_column, self.chunk_bytes)),
        ):  # fmt: skip
            pixel, tile, target = (Signal.like(position) for _ in range(3))
            origins = Array([position, pixel, tile, start])
            m.d.comb += target.eq(origins[Value.cast(origin)] + Array(strides)[by])
            with m.If(move & counting):
                m.d.sync += position.eq(target)
                with m.If(step.pixel):
                    m.d.sync += pixel.eq(target)
                with m.If(step.tile):
                    m.d.sync += tile.eq(target)

        # The first and last tile of the depth, the last vector of a tile.
        first = Signal()  # no tile of the depth is behind the loops
        depth_step = (at_last[:4].all() & counting) & ~at_last[4:6].all()
        with m.If(count & (~counting | at_last[:6].all())):
            m.d.sync += first.eq(1)
        with m.Elif(count & depth_step):
            m.d.sync += first.eq(0)
        with m.If(move):
            m.d.sync += [
                self.tags.first.eq(first),
                self.tags.last.eq(at_last[4:6].all()),
                self.tags.end.eq(at_last[:4].all()),
            ]

        return m
