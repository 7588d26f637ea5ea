"""The frame runner: one frame on an engine, or two if the first leaves it undecided."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.counters import COUNTER_WIDTH, Counters, over_time
from downshift.hw.descriptor import PROFILES
from downshift.hw.margin_reader import MarginReader
from downshift.hw.protocol import LinkError

__all__ = ["FrameRunner"]


class FrameRunner(wiring.Component):
    """Do RUN and CASCADE.

    A frame that does not end within `MOST_CYCLES` is given up, and no other runs until a reset: the
    engine may still be at it.

    Parameters
    ----------
    cascading : bool
        CASCADE is known.

    Members
    -------
    start : ``In(1)``
    cascade : ``In(1)``
        It is CASCADE.
    arguments : ``In(64)``
        As of `Executor`.
    engine_start, profile, engine_done, missing, counters
        As of `Engine`, from the other side.
    read_start, read_enable, read_data : ``Out(1)``, ``Out(1)``, ``In(8)``
        The next byte is that of the first logit; the next byte, in `SETTLE` cycles.
    done, error : ``Out(1)``, ``Out(LinkError)``
        As of `Executor`.
    first_cycles, raised : ``Out(COUNTER_WIDTH)``, ``Out(1)``
        What CASCADE tells besides.
    """

    def __init__(self, *, cascading: bool):
        self.cascading = cascading
        super().__init__(
            {
                "start": In(1),
                "cascade": In(1),
                "arguments": In(64),
                "engine_start": Out(1),
                "profile": Out(range(PROFILES)),
                "engine_done": In(1),
                "missing": In(1),
                "counters": In(Counters),
                "read_start": Out(1),
                "read_enable": Out(1),
                "read_data": In(8),
                "done": Out(1),
                "error": Out(LinkError),
                "first_cycles": Out(COUNTER_WIDTH),
                "raised": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        hung = Signal()
        m.d.comb += self.profile.eq(self.arguments[-8:])
        if self.cascading:
            m.submodules.reader = reader = MarginReader()
            m.d.comb += [
                reader.count.eq(self.arguments[56:]),
                reader.threshold.eq(self.arguments[8:32]),
                reader.read_data.eq(self.read_data),
                self.read_enable.eq(reader.read_enable),
                self.read_start.eq(reader.start),
            ]
            with m.If(self.cascade):
                first, second = self.arguments[:4], self.arguments[4:8]
                m.d.comb += self.profile.eq(Mux(self.raised, second, first))

        def end(error=LinkError.NONE):
            m.d.comb += [self.done.eq(1), self.error.eq(error)]
            m.next = "Idle"

        with m.FSM():
            with m.State("Idle"), m.If(self.start):
                m.d.sync += [self.raised.eq(0), self.first_cycles.eq(0)]
                with m.If(hung):
                    end(LinkError.HUNG)
                with m.Else():
                    m.next = "Start"

            with m.State("Start"):
                m.d.comb += self.engine_start.eq(1)
                m.next = "Frame"

            with m.State("Frame"):
                with m.If(self.engine_done & self.missing):
                    end(LinkError.NO_WIDTH)
                with m.Elif(self.engine_done):
                    if self.cascading:
                        with m.If(self.cascade & ~self.raised):
                            m.d.comb += reader.start.eq(1)
                            m.next = "Look"
                        with m.Else():
                            end()
                    else:
                        end()
                with m.Elif(over_time(self.counters)):
                    m.d.sync += hung.eq(1)
                    end(LinkError.HUNG)

            if self.cascading:
                with m.State("Look"), m.If(reader.done):
                    with m.If(reader.close):
                        m.d.sync += [
                            self.raised.eq(1),
                            self.first_cycles.eq(self.counters.cycles),
                        ]
                        m.next = "Start"
                    with m.Else():
                        end()

        return m
