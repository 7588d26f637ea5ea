"""Depthwise convolution in hard multipliers: a channel a lane, a column of the kernel at a time."""

from itertools import pairwise

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.depthwise_lane import DepthwiseLane, LaneControl
from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.mac import VectorTags
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.window import im2col
from downshift.hw.word_chains import CHAIN, chain_word_layout

__all__ = ["MOST_ROWS", "DepthwiseLanes", "DepthwiseLayer", "depthwise_sums"]

MOST_ROWS = 8
"""Rows of the largest kernel; its columns are three."""


def depthwise_sums(words, weights, *, stride):
    """Convolve each byte of the words by itself: the golden function of `DepthwiseLanes`.

    Parameters
    ----------
    words : uint8 array, shape (rows, columns, 16)
        Padding included.
    weights : int8 array, shape (16, kernel_height, 3)
    stride : (int, int)

    Returns
    -------
    int array, shape (out_rows, out_columns, 16)
    """
    words, weights = np.asarray(words), np.asarray(weights, np.int64)
    windows = im2col(
        words[None], kernel=weights.shape[1:], stride=stride, padding=(0, 0, 0, 0), zero_point=0
    )[0]  # (row, column, ky, kx, lane)
    return np.einsum("yxklc,ckl->yxc", windows.astype(np.int64), weights)


class DepthwiseLayer(data.Struct):
    """What the lanes are told about a pass; counts are stored less one."""

    last_row: 3  # of the kernel
    last_column: 9  # of the words that a row of outputs needs
    stride: 4  # columns from one output to the next, less one
    cycles: 4  # least from one column to the next


class DepthwiseLanes(wiring.Component):
    """Multiply words with three columns of weights, and add up three columns of words.

    ::

        word of column c, row y ─► weights of row y ─► three sums of column c
        output = first sum of column c - 2, second of c - 1, third of c

    The twin of `depthwise_sums`, with every weight aligned to the left. Weights of the next tile
    are loaded behind those in use.

    Parameters
    ----------
    segments : int
        As of the words that come.
    sum_width : int
        Bits of a sum.
    fabric : Fabric

    Members
    -------
    layer : ``In(DepthwiseLayer)``
    start : ``In(1)``
        Begin a pass; not during one.
    go_on : ``In(1)``
        Take words of the next tile, from the next cycle on.
    i_weights : ``In(stream.Signature(ArrayLayout(ArrayLayout(8, 3), 16)))``
        Rows of the kernel, tile by tile.
    asks, begun : ``Out(1)``, ``In(1)``
        There is room for the weights of a tile; they are on their way.
    i : ``In(stream.Signature(chain_word_layout(segments)))``
        Words, column by column of the kernel's height; each column is tagged.
    o : ``Out(stream.Signature(..., always_ready=True))``
        Sums, offset by half their range, and the tags of their pixel, `latency` cycles after its
        last word.
    soon : ``Out(stream.Signature(VectorTags, always_ready=True))``
        Tags of what comes in five cycles.
    """

    i_weights: stream.Interface
    i: stream.Interface
    o: stream.Interface

    latency = 8

    def __init__(self, *, segments: int, sum_width: int, fabric: Fabric | None = None):
        self.segments = segments
        self.sum_width = sum_width
        self.fabric = fabric or Fabric()
        weights = data.ArrayLayout(data.ArrayLayout(8, CHAIN), WORD_BYTES)
        sums = data.ArrayLayout(sum_width, WORD_BYTES)
        self.o_layout = data.StructLayout({"sums": sums, "tags": VectorTags})
        super().__init__(
            {
                "layer": In(DepthwiseLayer),
                "start": In(1),
                "go_on": In(1),
                "i_weights": In(stream.Signature(weights)),
                "asks": Out(1),
                "begun": In(1),
                "i": In(stream.Signature(chain_word_layout(segments))),
                "o": Out(stream.Signature(self.o_layout, always_ready=True)),
                "soon": Out(stream.Signature(VectorTags, always_ready=True)),
            }
        )

    @staticmethod
    def most_rows(*, sum_width: int) -> int:
        """Rows of the largest kernel whose sums have `sum_width` bits."""
        return min(MOST_ROWS, ((1 << sum_width - 1) - 1) // (CHAIN * 128 * 255))

    def elaborate(self, platform):
        m = Module()
        layer = self.layer

        # Weights: two tiles.
        full, promised = Signal(2), Signal(2)
        loading, using = Signal(), Signal()
        load_row, row = Signal(3), Signal(3)
        loaded, used = Signal(), Signal()
        load = Signal()
        m.d.comb += [
            self.i_weights.ready.eq(~full[1]),
            load.eq(self.i_weights.valid & self.i_weights.ready),
            loaded.eq(load & (load_row == layer.last_row)),
            self.asks.eq(~promised[1]),
        ]
        m.d.sync += [full.eq(full + loaded - used), promised.eq(promised + self.begun - used)]
        with m.If(load):
            m.d.sync += load_row.eq(load_row + 1)
        with m.If(loaded):
            m.d.sync += [load_row.eq(0), loading.eq(~loading)]

        # Words: columns of one, rows of columns.
        wait, due, column = Signal(4), Signal(4), Signal(9)
        taken, complete = Signal(), Signal()
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            complete.eq(taken & self.i.p.complete),
            used.eq(complete & self.i.p.tags.end),
        ]

        # Whether a word may come in the next cycle.
        hold, no_wait = Signal(), Signal()
        column_begins, waited = Signal(), Signal()
        m.d.comb += [
            column_begins.eq(Mux(taken, self.i.p.complete, row == 0)),
            waited.eq(Mux(taken & (row == 0), no_wait, wait <= 1)),
        ]
        m.d.sync += [
            no_wait.eq(layer.cycles == 1),
            self.i.ready.eq(
                ~(used | self.start | (hold & ~self.go_on))
                & ((full != 0) | loaded)
                & (waited | ~column_begins)
            ),
        ]
        with m.If(self.go_on):
            m.d.sync += hold.eq(0)
        with m.If(used | self.start):
            m.d.sync += hold.eq(1)
        m.d.sync += wait.eq(wait - (wait != 0))
        with m.If(taken):
            m.d.sync += row.eq(row + 1)
            with m.If(row == 0):
                m.d.sync += wait.eq(layer.cycles - 1)
        with m.If(complete):
            m.d.sync += [row.eq(0), column.eq(column + 1), due.eq(due - 1)]
            with m.If(due == 0):
                m.d.sync += due.eq(layer.stride)
            with m.If(column == layer.last_column):
                m.d.sync += [column.eq(0), due.eq(CHAIN - 1)]
        with m.If(used):
            m.d.sync += using.eq(~using)
        with m.If(self.start):
            m.d.sync += [
                *(count.eq(0) for count in (full, promised, load_row, row, wait, column)),
                due.eq(CHAIN - 1),
            ]

        # What accompanies a column through the lanes.
        stages = [Signal(_Stage, name=f"stage_{k}") for k in range(self.latency + 1)]
        m.d.comb += [
            stages[0].valid.eq(complete & (due == 0)),
            stages[0].end.eq(self.i.p.tags.end),
        ]
        for port, tags, stage in (
            (self.o, self.o.p.tags, stages[-1]),
            (self.soon, self.soon.p, stages[-6]),
        ):
            m.d.comb += [
                port.valid.eq(stage.valid),
                tags.first.eq(1),
                tags.last.eq(1),
                tags.end.eq(stage.end),
            ]
        m.d.sync += [later.eq(stage) for stage, later in pairwise(stages)]
        control = Signal(LaneControl)
        weights = Signal.like(self.i_weights.p, reset_less=True)
        word = Signal.like(self.i.p.word, reset_less=True)
        m.d.sync += [
            control.load.eq(load),
            control.load_address.eq(Cat(load_row, loading)),
            control.address.eq(Cat(row, using)),
            control.valid.eq(taken),
            control.first.eq(row == 0),
            control.done.eq(complete),
            weights.eq(self.i_weights.p),
            word.eq(self.i.p.word),
        ]
        for index in range(WORD_BYTES):
            lane = DepthwiseLane(sum_width=self.sum_width, fabric=self.fabric)
            m.submodules[f"lane_{index}"] = shared(lane, platform)
            m.d.comb += [
                lane.control.eq(control),
                lane.load_data.eq(weights[index]),
                lane.code.eq(word[index]),
                self.o.p.sums[index].eq(lane.o),
            ]
        return m


class _Stage(data.Struct):
    """What accompanies a column."""

    valid: 1
    end: 1
