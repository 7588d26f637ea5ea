"""The dense walk: when lanes take codes that count for all of them, and what they do with each."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from downshift.hw.code_groups import CodeGroups
from downshift.hw.counters import CycleUse
from downshift.hw.lane import LaneSteps
from downshift.hw.mac import VectorTags
from downshift.hw.skid_buffer import SkidBuffer
from downshift.hw.word_chains import CHAIN, chain_word_layout

__all__ = ["QUEUED", "DenseWalk"]

QUEUED = 16
"""Weights that lanes have room for."""


class DenseWalk(wiring.Component):
    """Count groups of codes, and the weights that wait for them.

    A group meets the weights that have waited longest. After the last one of a vector the sums of
    the three columns are put together, during two cycles in which no group is taken.

    Parameters
    ----------
    segments : int
        As of the words that come.
    few : int
        So many weights wait, or fewer, when those of the next vector are asked for.

    Members
    -------
    start, go_on, asks, begun, i : as of `Lanes`
    load : ``In(1)``
        Weights of a group come.
    group : ``Out(ArrayLayout(8, 3))``
        Codes, in the cycle that `steps` speaks of.
    steps : ``Out(LaneSteps)``
    use, over : ``Out(CycleUse)``, ``Out(1)``
        As of `Lanes`.
    """

    i: stream.Interface

    def __init__(self, *, segments: int, few: int):
        self.segments = segments
        self.few = few
        super().__init__(
            {
                "start": In(1),
                "go_on": In(1),
                "load": In(1),
                "asks": Out(1),
                "begun": In(1),
                "i": In(stream.Signature(chain_word_layout(segments))),
                "group": Out(data.ArrayLayout(8, CHAIN)),
                "steps": Out(LaneSteps),
                "use": Out(CycleUse),
                "over": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.code_groups = code_groups = CodeGroups(segments=self.segments)
        m.submodules.groups = groups = SkidBuffer(shape=code_groups.o.p.shape())
        connect(m, wiring.flipped(self.i), code_groups.i)
        connect(m, code_groups.o, groups.i)
        m.d.comb += code_groups.start.eq(self.start)

        # Groups meet weights; the last one of a vector, also the parameters of its tile.
        queued = Signal(range(QUEUED + 1))
        hold, adding = Signal(), Signal(CHAIN - 1)
        taken, complete = Signal(), Signal()
        some, meets = Signal(), Signal()
        m.d.comb += [
            groups.o.ready.eq(meets & ~(groups.o.p.complete & hold)),
            taken.eq(groups.o.valid & groups.o.ready),
            complete.eq(taken & groups.o.p.complete),
        ]
        following = Signal.like(queued)
        m.d.comb += following.eq(queued + self.load - taken)
        m.d.sync += [
            queued.eq(following),
            some.eq(following != 0),
            meets.eq((following != 0) & ~(complete | adding[:-1].any())),
        ]
        load_place, place = (Signal(range(QUEUED), name=n) for n in ("load_place", "place"))
        first = Signal(init=1)
        tags = Signal(VectorTags)
        m.d.sync += [
            load_place.eq(load_place + self.load),
            place.eq(place + taken),
            adding.eq(Mux(complete, 1, adding << 1)),
        ]
        with m.If(taken):
            m.d.sync += first.eq(groups.o.p.complete)
        with m.If(complete):
            m.d.sync += tags.eq(groups.o.p.tags)
        with m.If(self.go_on):
            m.d.sync += hold.eq(0)
        with m.If(self.start | (complete & groups.o.p.tags.last)):
            m.d.sync += hold.eq(1)

        # Weights come without a gap once they do: not before there are codes.
        promised = Signal(2)  # vectors
        came = Signal()
        m.d.sync += [
            promised.eq(promised + self.begun - complete),
            came.eq(came | self.i.valid),
        ]
        m.d.comb += self.asks.eq(came & ~hold & ~promised[1] & (queued <= self.few))
        with m.If(self.start):
            m.d.sync += [
                *(
                    count.eq(0)
                    for count in (queued, some, meets, load_place, place, promised, came)
                ),
                adding.eq(0),
                first.eq(1),
            ]

        m.d.comb += [
            self.group.eq(groups.o.p.codes),
            self.steps.control.load.eq(self.load),
            self.steps.control.load_address.eq(load_place),
            self.steps.control.address.eq(place),
            self.steps.control.valid.eq(taken),
            self.steps.control.first.eq(first),
            self.steps.control.done.eq(complete | adding.any()),
            self.steps.control.give.eq(adding[-1]),
            self.steps.tags.eq(tags),
            self.use.busy.eq(taken),
            self.use.tile_load.eq(groups.o.valid & ~some),
            self.use.fetch.eq(~groups.o.valid),
            self.over.eq(complete & groups.o.p.tags.over),
        ]
        return m
