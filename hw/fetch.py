"""The fetch: words of a map in the order in which vectors of a convolution need them."""

from functools import reduce
from itertools import pairwise
from operator import or_

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from downshift.hw.block_ram import BlockRam
from downshift.hw.fabric import ram_port
from downshift.hw.fetch_layer import FetchLayer
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.segment_walk import SegmentWalk, WordMeta
from downshift.hw.table import LANES, QUARTERS, table_vectors
from downshift.hw.window import im2col
from downshift.hw.word_chains import chain_places, chain_word_layout
from downshift.hw.word_queue import WordQueue

__all__ = ["Fetch", "segment_vectors"]


def segment_vectors(
    codes,
    layout,
    *,
    kernel,
    stride,
    padding,
    zero_point,
    out_strip,
    segments,
    separate=False,
):
    """Order the words of a map as the array takes them: the golden function of `Fetch`.

    Parameters
    ----------
    codes : uint8 array, shape (height, width, channels)
    layout : MapLayout
        Of the map; its strips are `stride` times as high as `out_strip`.
    kernel, stride, padding, zero_point : as for `im2col`
    out_strip : int
        Output rows of a slot.
    segments : int
        Words of a vector.
    separate : bool
        Whether a tile has no words but those of one group.

    Returns
    -------
    uint8 array, shape (tiles, pixels, segments, 16)
        For each tile of the depth, the vectors of all places of a strip; places of a vector without
        a word are zero.
    """
    top, _, left, right = padding
    rows = layout.slots * layout.strip
    map_codes = np.full((rows, layout.width, layout.groups * layout.group), zero_point, np.uint8)
    map_codes[: layout.height, :, : layout.channels] = codes
    map_codes[: layout.height, :, layout.channels :] = 0
    below = (layout.slots * out_strip - 1) * stride[0] + kernel[0] - top - rows
    windows = im2col(
        map_codes[None],
        kernel=kernel,
        stride=stride,
        padding=(top, max(below, 0), left, right),
        zero_point=zero_point,
    )[0][: layout.slots * out_strip]  # (row, column, ky, kx, channel)
    columns = windows.shape[1]
    by_slot = windows.reshape(layout.slots, out_strip, columns, *kernel, layout.groups, -1)
    ordered = by_slot.transpose(1, 2, 0, 5, 3, 4, 6)  # (row, column, slot, group, ky, kx, channel)
    fields = ordered.reshape(out_strip * columns, layout.slots, -1, layout.group)
    words = table_vectors(fields, width=layout.code_width, pack=layout.pack)
    words = words.reshape(out_strip * columns, -1, WORD_BYTES)
    tiles = []
    field = kernel[0] * kernel[1] * (1 if separate else layout.groups)
    for begin in range(0, words.shape[1], field):
        for first in range(begin, begin + field, segments):
            tile = words[:, first : min(first + segments, begin + field)]
            vectors = np.zeros((len(words), segments, WORD_BYTES), np.uint8)
            vectors[:, chain_places(tile.shape[1])] = tile
            tiles.append(vectors)
    return np.stack(tiles)


class Fetch(wiring.Component):
    """Read the words of every receptive field, and turn rows of other strips into their slots.

    The twin of `segment_vectors`, before `WordChains`, repeated for each tile of output channels.
    A word a cycle while there is room for it behind the memory, the first `latency` cycles after
    `start`. Where a kernel of three columns moves on by fewer, only the new columns are read.

    Parameters
    ----------
    segments : int
        Words of a vector; a multiple of three.
    depth : int
        Words of the memory.

    Members
    -------
    layer : ``In(FetchLayer)``
    start : ``In(1)``
        Begin a pass; not during one.
    pause : ``In(1)``
        Leave the port to someone else, `read_delay` cycles later.
    read : ``Out(ram_port(depth, ...))``
        Port of the activation memory.
    o : ``Out(stream.Signature(chain_word_layout(segments)))``
    """

    o: stream.Interface

    room = 16
    """Words that wait behind the memory, or are on their way there."""
    latency = BlockRam.latency + 6 + WordQueue.latency
    read_delay = 4

    def __init__(self, *, segments: int, depth: int):
        self.segments = segments
        self.depth = depth
        super().__init__(
            {
                "layer": In(FetchLayer),
                "start": In(1),
                "pause": In(1),
                "read": Out(ram_port(depth, data.ArrayLayout(8, WORD_BYTES))),
                "o": Out(stream.Signature(chain_word_layout(segments))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        m.submodules.walk = walk = SegmentWalk(segments=self.segments)
        free = Signal(range(self.room + 1), init=self.room)
        any_free = Signal(init=1)
        m.d.comb += [
            walk.layer.eq(layer),
            walk.start.eq(self.start),
            walk.ready.eq(any_free & ~self.pause),
        ]

        # Cycle 1: the address within the strip, and what lies outside of it.
        asked = walk.o
        below, above = [Signal(2, name=name) for name in ("below", "above")]
        outside = Signal(2)
        address = Signal(range(self.depth))
        stages = [Signal(WordMeta, name=f"stage_{k}") for k in range(BlockRam.latency + 3)]
        m.d.sync += [
            address.eq(asked.words + asked.offset),
            Cat(below).eq(Cat(asked.row < 0, below)),
            Cat(above).eq(Cat((asked.row >= 0) & (asked.row >= layer.strip), above)),
            Cat(outside).eq(Cat((asked.column < 0) | (asked.column >= layer.width), outside)),
            stages[0].eq(asked.meta),
            *(later.eq(stage) for stage, later in pairwise(stages)),
        ]

        # Cycle 2: the strip before or after, whose row it is. Cycle 3: read.
        wrapped = Signal.like(address)
        with m.If(below[0]):
            m.d.sync += wrapped.eq(address + layer.strip_words)
        with m.Elif(above[0]):
            m.d.sync += wrapped.eq(address - layer.strip_words)
        with m.Else():
            m.d.sync += wrapped.eq(address)
        m.d.comb += [self.read.address.eq(wrapped), self.read.enable.eq(stages[1].valid)]

        # When they come: where the quarters come from. Then: put them there.
        turns = [Signal(_Turn, name=f"turn_{k}") for k in range(BlockRam.latency)]
        m.d.sync += [
            turns[0].here.eq(~(outside[1] | below[1] | above[1])),
            *(
                part.eq(Cat(away[1] & ~outside[1] & (layer.slots == slots) for slots in (1, 2)))
                for part, away in ((turns[0].up, below), (turns[0].down, above))
            ),
            *(later.eq(turn) for turn, later in pairwise(turns)),
            turns[-1].pad.eq(Cat(_nowhere(turns[-2], quarter) for quarter in range(QUARTERS))),
        ]
        turned = Signal.like(self.read.data, reset_less=True)
        for quarter in range(QUARTERS):
            self._turn(m, turns[-1], self.read.data, quarter, turned)

        # What waits to be taken.
        entry = Signal(self.o.p.shape())
        m.submodules.queue = queue = WordQueue(shape=self.o.p.shape(), depth=self.room)
        m.d.comb += [
            entry.word.eq(turned),
            entry.chain.eq(stages[-1].chain),
            entry.complete.eq(stages[-1].complete),
            entry.tags.eq(stages[-1].tags),
            queue.i.p.eq(entry),
            queue.i.valid.eq(stages[-1].valid),
        ]
        connect(m, queue.o, wiring.flipped(self.o))
        left = Signal()
        m.d.sync += [
            left.eq(self.o.valid & self.o.ready),
            free.eq(free - walk.taken + left),
            any_free.eq(left | Mux(walk.taken, free > 1, free != 0)),
        ]

        return m

    def _turn(self, m, turn, word, quarter, turned):
        """One quarter: from its place, from a slot before or after, or outside the map."""
        sources = [(turn.pad[quarter], [self.layer.pad] * LANES)]
        for place, select in _sources(turn, quarter).items():
            sources.append((select, [word[LANES * place + lane] for lane in range(LANES)]))
        for lane in range(LANES):
            chosen = (Mux(select, lanes[lane], 0) for select, lanes in sources)
            m.d.sync += turned[LANES * quarter + lane].eq(reduce(or_, chosen))


def _sources(turn, quarter):
    """Where a quarter comes from: quarters of the word, each with what selects it."""
    sources = {quarter: turn.here}
    for index, slots in enumerate((1, 2)):
        step = QUARTERS >> slots
        sources |= {quarter - step: turn.up[index], quarter + step: turn.down[index]}
    return {place: select for place, select in sources.items() if place in range(QUARTERS)}


def _nowhere(turn, quarter):
    """Whether a quarter is outside the map."""
    return ~Cat(_sources(turn, quarter).values()).any()


class _Turn(data.Struct):
    """Where a word's quarters come from."""

    here: 1
    # A slot before or after, of two and of four.
    up: 2
    down: 2
    # From nowhere: by quarter.
    pad: QUARTERS
