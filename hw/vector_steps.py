"""Steps of vectors: how vectors, tiles of weights and results meet in an array."""

from itertools import pairwise

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.counters import CycleUse
from downshift.hw.mac import VectorTags

__all__ = ["StepTags", "VectorSteps"]


class StepTags(data.Struct):
    """What accompanies one step of a vector through an array."""

    valid: 1
    first: 1
    last: 1
    vector: VectorTags


class VectorSteps(wiring.Component):
    """Let every vector meet the weights in use in steps, and tiles of weights follow each other.

    A vector is offered until its last step, step 0, and taken with it. The next tile takes over as
    soon as the one in use has met its last vector.

    Parameters
    ----------
    stages : int
        Cycles for which a step is accompanied.

    Members
    -------
    enable : ``In(1)``
        Go on.
    top_step : ``In(2)``
        First step of a vector; they count down.
    valid, tags : ``In(1)``, ``In(VectorTags)``
        The vector that is offered.
    ready : ``Out(1)``
        It is taken.
    full : ``In(1)``
        The next tile waits.
    swap : ``Out(1)``
        From the next cycle on it is the one in use.
    step, next_step : ``Out(2)``
        The step in this cycle, if `working`, and that in the next one.
    working : ``Out(1)``
    stages : ``Out(ArrayLayout(StepTags, stages))``
        Steps on their way, youngest first.
    use : ``Out(CycleUse)``
    """

    def __init__(self, *, stages: int):
        self.count = stages
        super().__init__(
            {
                "enable": In(1),
                "top_step": In(2),
                "valid": In(1),
                "tags": In(VectorTags),
                "ready": Out(1),
                "full": In(1),
                "swap": Out(1),
                "step": Out(2),
                "next_step": Out(2),
                "working": Out(1),
                "stages": Out(data.ArrayLayout(StepTags, stages)),
                "use": Out(CycleUse),
            }
        )

    def elaborate(self, platform):
        m = Module()
        held = Signal()  # there are weights
        done = Signal()
        m.d.comb += [
            self.working.eq(self.valid & held & self.enable),
            done.eq(self.working & (self.step == 0)),
            self.ready.eq(held & self.enable & (self.step == 0)),
            self.next_step.eq(self.step),
        ]
        with m.If(done | ~(self.valid & held)):
            m.d.comb += self.next_step.eq(self.top_step)
        with m.Elif(self.working):
            m.d.comb += self.next_step.eq(self.step - 1)
        m.d.sync += self.step.eq(self.next_step)

        finished = done & self.tags.end
        m.d.comb += self.swap.eq(self.full & (~held | finished))
        with m.If(self.swap):
            m.d.sync += held.eq(1)
        with m.Elif(finished):
            m.d.sync += held.eq(0)
        m.d.comb += [
            self.use.busy.eq(self.working),
            self.use.tile_load.eq(self.valid & ~held & self.enable),
        ]

        with m.If(self.enable):
            m.d.sync += [
                self.stages[0].valid.eq(self.working),
                self.stages[0].first.eq(self.step == self.top_step),
                self.stages[0].last.eq(self.step == 0),
                self.stages[0].vector.eq(self.tags),
            ]
            m.d.sync += [
                self.stages[later].eq(self.stages[stage])
                for stage, later in pairwise(range(self.count))
            ]
        return m
