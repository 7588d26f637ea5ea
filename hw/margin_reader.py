"""The margin reader: logits fetched from memory, for the margin between the two best."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.logit_margin import MARGIN_WIDTH, LogitMargin
from downshift.hw.reply import SETTLE

__all__ = ["MarginReader"]


class MarginReader(wiring.Component):
    """Read logits, and tell whether the two best are too close to each other.

    Members
    -------
    start : ``In(1)``
    count : ``In(8)``
        Logits.
    threshold : ``In(MARGIN_WIDTH)``
    read_enable, read_data : ``Out(1)``, ``In(8)``
        The next byte, in `SETTLE` cycles.
    done, close : ``Out(1)``
        As of `LogitMargin`, for one cycle.
    """

    start: In(1)
    count: In(8)
    threshold: In(MARGIN_WIDTH)
    read_enable: Out(1)
    read_data: In(8)
    done: Out(1)
    close: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.margin = margin = LogitMargin()
        left, settle = Signal(len(self.count) + 2), Signal(range(SETTLE + 1))
        m.d.comb += [
            margin.start.eq(self.start),
            margin.byte.eq(self.read_data),
            margin.threshold.eq(self.threshold),
            self.close.eq(margin.close),
        ]
        with m.If(settle != 0):
            m.d.sync += settle.eq(settle - 1)

        with m.FSM():
            with m.State("Idle"):
                m.d.sync += left.eq(self.count << 2)
                with m.If(self.start):
                    m.next = "Ask"
            with m.State("Ask"):
                m.d.sync += settle.eq(SETTLE)
                with m.If(left == 0):
                    m.d.sync += settle.eq(LogitMargin.latency)
                    m.next = "Decide"
                with m.Else():
                    m.d.comb += self.read_enable.eq(1)
                    m.next = "Take"
            with m.State("Take"), m.If(settle == 0):
                m.d.comb += margin.enable.eq(1)
                m.d.sync += left.eq(left - 1)
                m.next = "Ask"
            with m.State("Decide"), m.If(settle == 0):
                m.d.comb += self.done.eq(1)
                m.next = "Idle"

        return m
