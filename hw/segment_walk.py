"""The segment walk: which word of a map comes next, for every segment of every vector."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fetch_layer import FetchLayer
from downshift.hw.mac import VectorTags
from downshift.hw.word_chains import CHAIN

__all__ = ["SegmentWalk", "WordMeta"]


class WordMeta(data.Struct):
    """What accompanies a word."""

    valid: 1
    chain: 3
    complete: 1
    tags: VectorTags


class Step(data.Struct):
    """A word, by its place relative to the strip."""

    row: signed(11)
    column: signed(10)
    words: 16
    """Of the window's first row and column, and the row of the kernel."""
    offset: 16
    """Of the column and the group within it."""
    meta: WordMeta


class Segment(data.Struct):
    """A segment of the receptive field, and its distance from the window's first word."""

    column: 8
    row: 8
    group: 8
    column_words: 16
    row_words: 16
    slid_words: 16
    """`column_words` beyond the columns that the chains keep, from the window's first one."""
    # Whether it is the last one.
    last_column: 1
    last_row: 1
    last_group: 1
    last_but_column: 1
    """Of all rows and groups that the vector has."""


class SegmentWalk(wiring.Component):
    """Count through tiles of output channels, tiles of the depth, pixels and segments.

    Parameters
    ----------
    segments : int
        Words of a vector.

    Members
    -------
    layer, start : as for `Fetch`
    ready : ``In(1)``
        There is room for another word.
    taken : ``Out(1)``
        A word takes that room.
    o : ``Out(Step)``
        It, two cycles later.
    """

    latency = 3

    def __init__(self, *, segments: int):
        self.segments = segments
        super().__init__(
            {
                "layer": In(FetchLayer),
                "start": In(1),
                "ready": In(1),
                "taken": Out(1),
                "o": Out(Step),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        running, go = Signal(), Signal()
        m.d.comb += [go.eq(running & self.ready), self.taken.eq(go)]

        # Loops.
        here, tile_start = Signal(Segment), Signal(Segment)
        chain, place = Signal(3), Signal(2)
        column, row = Signal(8), Signal(8)
        tile = Signal(8)
        first, first_column = Signal(), Signal()
        last_chain, last_column, last_row = Signal(), Signal(), Signal()  # of the window
        chains = self.segments // CHAIN
        full, depth_done, pixel_done, row_done, tile_done = (Signal() for _ in range(5))
        m.d.comb += [
            depth_done.eq(here.last_column & here.last_but_column),
            pixel_done.eq(depth_done | full),
            row_done.eq(last_column),
            tile_done.eq(pixel_done & last_column & last_row),
        ]

        # Whether the vector is full with this word is known from the word before.
        enters_last, fills = Signal(), Signal()
        m.d.comb += enters_last.eq(Mux(pixel_done, chains == 1, chain == chains - 2))
        m.d.sync += fills.eq(~layer.whole)

        # The first segment, and the one after this one.
        slide_words = Signal(16)
        m.d.comb += slide_words.eq(Mux(layer.slide[1], layer.groups << 1, layer.groups))
        start, after = Signal(Segment), Signal(Segment)
        m.d.comb += [
            start.last_column.eq(layer.last_kernel_column == 0),
            start.last_row.eq(layer.last_kernel_row == 0),
            start.last_group.eq(layer.last_group == 0),
            start.last_but_column.eq(start.last_row & (layer.separate | start.last_group)),
            start.slid_words.eq(slide_words),
            after.eq(here),
        ]
        with m.If(~here.last_column):
            m.d.comb += [
                after.column.eq(here.column + 1),
                after.last_column.eq(here.column + 1 == layer.last_kernel_column),
                after.column_words.eq(here.column_words + layer.groups),
            ]
        with m.Else():
            m.d.comb += [after.column.eq(0), after.last_column.eq(start.last_column)]
            with m.If(~here.last_row):
                m.d.comb += [
                    after.row.eq(here.row + 1),
                    after.last_row.eq(here.row + 1 == layer.last_kernel_row),
                    after.row_words.eq(here.row_words + layer.row_words),
                    after.column_words.eq(here.group),
                    after.last_but_column.eq(
                        (here.row + 1 == layer.last_kernel_row) & (layer.separate | here.last_group)
                    ),
                ]
            with m.Else():
                m.d.comb += [
                    after.row.eq(0),
                    after.last_row.eq(start.last_row),
                    after.row_words.eq(0),
                    after.group.eq(here.group + 1),
                    after.last_group.eq(here.group + 1 == layer.last_group),
                    after.column_words.eq(here.group + 1),
                    after.slid_words.eq(here.slid_words + 1),
                    after.last_but_column.eq(
                        start.last_row & (layer.separate | (here.group + 1 == layer.last_group))
                    ),
                ]

        # Columns that the chains keep are left out: the target is in the first one then, and the
        # kernel has three.
        kept = Signal(2)
        anew, again = Signal(), Signal()
        target = Signal(Segment)
        m.d.comb += [
            kept.eq(Mux(Mux(pixel_done, row_done, first_column), 0, layer.slide)),
            anew.eq(tile_done & depth_done & ~layer.separate),
            again.eq(pixel_done & ~tile_done),
            target.eq(Mux(anew, start, Mux(again, tile_start, after))),
        ]
        skip = pixel_done | here.last_column
        with m.If(go):
            m.d.sync += here.eq(target)
            with m.If(skip & (kept != 0)):
                m.d.sync += [
                    here.column.eq(kept),
                    here.last_column.eq(kept[1]),
                    here.column_words.eq(target.slid_words),
                ]
            m.d.sync += [place.eq(place + 1), full.eq(fills & (place == CHAIN - 2) & last_chain)]
            with m.If(pixel_done | (place == CHAIN - 1)):
                m.d.sync += [
                    place.eq(kept),
                    chain.eq(Mux(pixel_done, 0, chain + 1)),
                    last_chain.eq(enters_last),
                    full.eq(fills & (kept == CHAIN - 1) & enters_last),
                ]
            with m.If(tile_done):
                m.d.sync += [tile_start.eq(target), first.eq(depth_done)]
                with m.If(depth_done):
                    m.d.sync += [tile.eq(tile + 1), running.eq(tile != layer.last_tile)]

        # The window.
        moves, restarts = Signal(), Signal()
        m.d.comb += [moves.eq(go & pixel_done), restarts.eq(self.start | (go & tile_done))]
        with m.If(moves):
            m.d.sync += [
                column.eq(column + 1),
                first_column.eq(0),
                last_column.eq(column + 1 == layer.last_column),
            ]
            with m.If(row_done):
                m.d.sync += [
                    column.eq(0),
                    first_column.eq(1),
                    last_column.eq(layer.last_column == 0),
                    row.eq(row + 1),
                    last_row.eq(row + 1 == layer.last_row),
                ]
        with m.If(restarts):
            m.d.sync += [
                column.eq(0),
                first_column.eq(1),
                last_column.eq(layer.last_column == 0),
                row.eq(0),
                last_row.eq(layer.last_row == 0),
            ]
        with m.If(self.start):
            m.d.sync += [
                running.eq(1),
                here.eq(start),
                tile_start.eq(start),
                chain.eq(0),
                last_chain.eq(chains == 1),
                full.eq(0),
                place.eq(0),
                tile.eq(0),
                first.eq(1),
            ]

        # The word, a cycle later, and where the window is.
        begins = first_column & (row == 0)
        word, meta = Signal.like(here, reset_less=True), Signal(WordMeta)
        moved, row_moved, restarted = Signal(), Signal(), Signal()
        m.d.sync += [
            word.eq(here),
            meta.valid.eq(go),
            meta.chain.eq(chain),
            meta.complete.eq(pixel_done),
            meta.tags.first.eq(first & (~layer.keep | begins)),
            meta.tags.last.eq(depth_done & (~layer.keep | tile_done)),
            meta.tags.end.eq(tile_done),
            meta.tags.over.eq(tile_done & depth_done & (tile == layer.last_tile)),
            moved.eq(moves),
            row_moved.eq(row_done),
            restarted.eq(restarts),
        ]
        window_row, window_column = Signal(signed(11)), Signal(signed(10))
        words, row_words = Signal(16), Signal(16)
        start_words = Signal(16)
        m.d.comb += start_words.eq(layer.base + layer.first_words)
        with m.If(moved):
            m.d.sync += [
                window_column.eq(window_column + layer.stride_column),
                words.eq(words + layer.step_words),
            ]
            with m.If(row_moved):
                m.d.sync += [
                    window_column.eq(layer.first_column),
                    window_row.eq(window_row + layer.stride_row),
                    words.eq(row_words + layer.step_row_words),
                    row_words.eq(row_words + layer.step_row_words),
                ]
        with m.If(restarted):
            m.d.sync += [
                window_column.eq(layer.first_column),
                window_row.eq(layer.first_row),
                words.eq(start_words),
                row_words.eq(start_words),
            ]
        m.d.sync += [
            self.o.row.eq(window_row + word.row),
            self.o.column.eq(window_column + word.column),
            self.o.words.eq(words + word.row_words),
            self.o.offset.eq(word.column_words),
            self.o.meta.eq(meta),
        ]

        return m
