"""Lanes of hard multipliers: depthwise convolution, and layers of which each weight counts once."""

from itertools import pairwise

import numpy as np
from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.column_walk import ColumnWalk
from downshift.hw.counters import CycleUse
from downshift.hw.dense_walk import DenseWalk
from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.lane import Lane, LaneControl, LaneNeighbours, LaneSteps
from downshift.hw.lanes_layer import LanesLayer
from downshift.hw.mac import VectorTags
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.table import row_order
from downshift.hw.window import im2col
from downshift.hw.word_chains import CHAIN, chain_word_layout

__all__ = ["Lanes", "depthwise_sums"]

NEIGHBOURS = 4
"""Lanes that share a register."""


def depthwise_sums(words, weights, *, stride):
    """Convolve each byte of the words by itself: the golden function of `Lanes`.

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


class Lanes(wiring.Component):
    """Multiply with three columns of weights, and add up three columns.

    ::

        word of column c, row y ─► weights of row y ─► three sums of column c
        output = first sum of column c - 2, second of c - 1, third of c

        words ─► group of three codes, for all lanes ─► a sum for each place in the group
        output = all three, when the vector is complete

    The twin of `depthwise_sums`; with `dense`, of the products of all codes of a vector with the
    weights of each lane. Weights are aligned to the left. Those of the next tile are loaded behind
    those in use; with `dense` each counts once, and those that came wait in a queue.

    Parameters
    ----------
    segments : int
        As of the words that come.
    sum_width : int
        Bits of a sum, enough for the products of a vector.
    fabric : Fabric

    Members
    -------
    layer : ``In(LanesLayer)``
    start : ``In(1)``
        Begin a pass; not during one.
    go_on : ``In(1)``
        Take words of the next tile, from the next cycle on; with `dense`, complete its vectors.
    i_weights : ``In(stream.Signature(ArrayLayout(ArrayLayout(8, 3), 16)))``
        Rows of the kernel, tile by tile; or weights of each of `code_groups`, vector by vector.
    asks, begun : ``Out(1)``, ``In(1)``
        There is room for the weights of a tile, or of a vector; they are on their way.
    i : ``In(stream.Signature(chain_word_layout(segments)))``
        Words, column by column of the kernel's height, of which each is tagged; or words of
        vectors. With `dense` they must not come slower than one in three cycles, once they do.
    o : ``Out(stream.Signature(..., always_ready=True))``
        Sums, offset by half their range, and the tags of their pixel or vector, `latency` cycles
        after its last word, or two more after its last group; in force until the next ones.
    soon : ``Out(stream.Signature(VectorTags, always_ready=True))``
        Tags of what comes in five cycles.
    use : ``Out(CycleUse)``
        What the cycle goes to, while words of the pass are to come.
    over : ``Out(1)``
        The last one is taken.
    """

    i_weights: stream.Interface
    i: stream.Interface
    o: stream.Interface

    latency = 8
    few = 4
    """With `dense`: so many weights, or fewer, wait for codes when the next ones are asked for."""

    def __init__(self, *, segments: int, sum_width: int, fabric: Fabric | None = None):
        self.segments = segments
        self.sum_width = sum_width
        self.fabric = fabric or Fabric()
        weights = data.ArrayLayout(data.ArrayLayout(8, CHAIN), WORD_BYTES)
        sums = data.ArrayLayout(sum_width, WORD_BYTES)
        self.o_layout = data.StructLayout({"sums": sums, "tags": VectorTags})
        super().__init__(
            {
                "layer": In(LanesLayer),
                "start": In(1),
                "go_on": In(1),
                "i_weights": In(stream.Signature(weights)),
                "asks": Out(1),
                "begun": In(1),
                "i": In(stream.Signature(chain_word_layout(segments))),
                "o": Out(stream.Signature(self.o_layout, always_ready=True)),
                "soon": Out(stream.Signature(VectorTags, always_ready=True)),
                "use": Out(CycleUse),
                "over": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.columns = columns = ColumnWalk(segments=self.segments)
        m.submodules.vectors = vectors = DenseWalk(segments=self.segments, few=self.few)
        # Stable during a pass: next to where it is used.
        dense = Signal()
        m.d.sync += dense.eq(self.layer.dense)
        m.d.comb += columns.layer.eq(self.layer)
        for walk, chosen in ((columns, ~dense), (vectors, dense)):
            m.d.comb += [
                walk.start.eq(self.start),
                walk.go_on.eq(self.go_on),
                walk.begun.eq(self.begun & chosen),
                walk.load.eq(self.i_weights.valid & chosen),
                walk.i.p.eq(self.i.p),
                walk.i.valid.eq(self.i.valid & chosen),
            ]
        steps = Signal(LaneSteps)
        m.d.comb += [
            self.i_weights.ready.eq(dense | columns.room),
            self.asks.eq(Mux(dense, vectors.asks, columns.asks)),
            self.i.ready.eq(Mux(dense, vectors.i.ready, columns.i.ready)),
            steps.eq(Mux(dense, vectors.steps, columns.steps)),
            self.use.eq(Mux(self.layer.dense, vectors.use, columns.use)),
            self.over.eq(Mux(dense, vectors.over, columns.over)),
        ]

        # What accompanies a pixel or vector through the lanes.
        stages = [Signal(_Stage, name=f"stage_{k}") for k in range(self.latency + 1)]
        m.d.comb += [stages[0].valid.eq(steps.control.give), stages[0].tags.eq(steps.tags)]
        m.d.sync += [later.eq(stage) for stage, later in pairwise(stages)]
        m.d.comb += [
            self.o.valid.eq(stages[-1].valid),
            self.o.p.tags.eq(stages[-1].tags),
            self.soon.valid.eq(stages[-6].valid),
            self.soon.p.eq(stages[-6].tags),
        ]

        control = Signal(LaneControl)
        weights = Signal.like(self.i_weights.p, reset_less=True)
        word = Signal.like(self.i.p.word, reset_less=True)
        group = Signal.like(vectors.group, reset_less=True)
        m.d.sync += [
            control.eq(steps.control),
            weights.eq(self.i_weights.p),
            word.eq(self.i.p.word),
            group.eq(vectors.group),
        ]
        for position, index in enumerate(row_order(WORD_BYTES)):
            if position % NEIGHBOURS == 0:
                told = LaneNeighbours()
                m.submodules[f"told_{position}"] = shared(told, platform)
                m.d.comb += told.i.eq(control)
            lane = Lane(sum_width=self.sum_width, fabric=self.fabric)
            m.submodules[f"lane_{index}"] = shared(lane, platform)
            m.d.comb += [
                lane.control.eq(told.o),
                lane.dense.eq(dense),
                lane.load_data.eq(weights[index]),
                lane.code.eq(word[index]),
                lane.group.eq(group),
                self.o.p.sums[index].eq(lane.o),
            ]
        return m


class _Stage(data.Struct):
    """What accompanies a pixel."""

    valid: 1
    tags: VectorTags
