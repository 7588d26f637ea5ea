"""The pass queue: the next descriptor waits while a pass runs."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PassQueue"]


class PassQueue(wiring.Component):
    """Hold the descriptor of the pass that runs, so that the sequencer reads the next one.

    ::

        sequencer ─► coming ─► layer ─► core

    A pass starts `latency` cycles after the one before it is done, or its descriptor is `known`;
    the sequencer is told `release` cycles later that it may go on.

    Parameters
    ----------
    layer : type
        Struct of a descriptor, whose first field is `last`.

    Members
    -------
    coming, come, over : ``In(layer)``, ``In(1)``, ``Out(1)``
        `layer`, `start_layer` and `layer_done` of the sequencer.
    known : ``Out(1)``
        `coming` is the descriptor of the pass that follows; from the cycle after `come`.
    layer : ``Out(layer)``
        Of the pass that runs.
    start, done : ``Out(1)``, ``In(1)``
        It begins; it is over.
    """

    latency = 2
    release = 1

    def __init__(self, *, layer: type[data.Struct]):
        super().__init__(
            {
                "coming": In(layer),
                "come": In(1),
                "over": Out(1),
                "known": Out(1),
                "layer": Out(layer),
                "start": Out(1),
                "done": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        running, take, taken = Signal(), Signal(), Signal()
        m.d.comb += take.eq(self.known & (~running | self.done))
        m.d.sync += [
            # The last one stays with the sequencer, which then knows when the frame is complete.
            self.over.eq((take & ~self.coming.last) | (self.done & self.layer.last)),
            taken.eq(take),
            self.start.eq(taken),
        ]
        with m.If(self.done):
            m.d.sync += running.eq(0)
        with m.If(self.come):
            m.d.sync += self.known.eq(1)
        with m.If(take):
            m.d.sync += [running.eq(1), self.known.eq(0)]
        with m.If(taken):
            m.d.sync += self.layer.eq(self.coming)
        return m
