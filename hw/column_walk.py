"""The column walk: when lanes take words of a depthwise convolution, and what they do with each."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.counters import CycleUse
from downshift.hw.lane import LaneSteps
from downshift.hw.lanes_layer import LanesLayer
from downshift.hw.word_chains import CHAIN, chain_word_layout

__all__ = ["ColumnWalk"]


class ColumnWalk(wiring.Component):
    """Count through rows of the kernel, and columns of the map.

    Parameters
    ----------
    segments : int
        As of the words that come.

    Members
    -------
    layer, start, go_on, asks, begun, i : as of `Lanes`
    load, room : ``In(1)``, ``Out(1)``
        A row of weights comes; it may.
    steps : ``Out(LaneSteps)``
    use, over : ``Out(CycleUse)``, ``Out(1)``
        As of `Lanes`. Columns that no window ends in are only read.
    """

    i: stream.Interface

    def __init__(self, *, segments: int):
        super().__init__(
            {
                "layer": In(LanesLayer),
                "start": In(1),
                "go_on": In(1),
                "load": In(1),
                "room": Out(1),
                "asks": Out(1),
                "begun": In(1),
                "i": In(stream.Signature(chain_word_layout(segments))),
                "steps": Out(LaneSteps),
                "use": Out(CycleUse),
                "over": Out(1),
            }
        )

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
            self.room.eq(~full[1]),
            load.eq(self.load & self.room),
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

        # Whether a word may come in the next cycle: not if it gives an output too early.
        hold, no_wait, gives = Signal(), Signal(), Signal()
        one_row, next_row, ends = Signal(), Signal.like(row), Signal()
        next_due, waited = Signal.like(due), Signal()
        m.d.comb += [
            gives.eq(complete & (due == 0)),
            next_row.eq(Mux(taken, row + 1, row)),
            ends.eq(Mux(complete, one_row, next_row == layer.last_row)),
            next_due.eq(due),
            waited.eq(Mux(gives, no_wait, wait <= 1)),
        ]
        with m.If(complete):
            m.d.comb += next_due.eq(Mux(due == 0, layer.stride, due - 1))
            with m.If(column == layer.last_column):
                m.d.comb += next_due.eq(CHAIN - 1)
        m.d.sync += [
            no_wait.eq(layer.cycles == 1),
            one_row.eq(layer.last_row == 0),
            self.i.ready.eq(
                ~(used | self.start | (hold & ~self.go_on))
                & ((full != 0) | loaded)
                & (waited | ~ends | (next_due != 0))
            ),
        ]
        with m.If(self.go_on):
            m.d.sync += hold.eq(0)
        with m.If(used | self.start):
            m.d.sync += hold.eq(1)
        m.d.sync += wait.eq(wait - (wait != 0))
        with m.If(gives):
            m.d.sync += wait.eq(layer.cycles - 1)
        m.d.sync += [row.eq(Mux(complete, 0, next_row)), due.eq(next_due)]
        with m.If(complete):
            m.d.sync += column.eq(Mux(column == layer.last_column, 0, column + 1))
        with m.If(used):
            m.d.sync += using.eq(~using)
        with m.If(self.start):
            m.d.sync += [
                *(count.eq(0) for count in (full, promised, load_row, row, wait, column)),
                due.eq(CHAIN - 1),
            ]

        m.d.comb += [
            self.steps.control.load.eq(load),
            self.steps.control.load_address.eq(Cat(load_row, loading)),
            self.steps.control.address.eq(Cat(row, using)),
            self.steps.control.valid.eq(taken),
            self.steps.control.first.eq(row == 0),
            self.steps.control.done.eq(complete),
            self.steps.control.give.eq(gives),
            self.steps.tags.first.eq(1),
            self.steps.tags.last.eq(1),
            self.steps.tags.end.eq(self.i.p.tags.end),
        ]

        weights = Signal()
        m.d.sync += weights.eq((full != 0) | loaded)
        m.d.comb += [
            self.use.busy.eq(taken & (due == 0)),
            self.use.tile_load.eq(~weights),
            self.use.fetch.eq((taken & (due != 0)) | (self.i.ready & ~self.i.valid)),
            self.over.eq(complete & self.i.p.tags.over),
        ]
        return m
