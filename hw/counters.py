"""Counters: what an engine counts during a frame."""

from amaranth import Signal
from amaranth.lib import data

__all__ = ["Counters", "count_events"]

COUNTER_WIDTH = 24
"""Bits that count: 0.2 seconds at 80 MHz."""


class Counters(data.Struct):
    """Counts of the last frame."""

    cycles: 32
    """From start to done."""
    vectors: 32
    """Activation vectors that entered the array."""
    weight_words: 32
    """Words read from the weight store."""
    output_wait: 32
    """Cycles in which complete sums waited for the requantizers."""


def count_events(m, counters, *, busy, start, events):
    """Count the cycles of a frame in which each event is; they are known two cycles later."""
    clear = Signal()
    m.d.sync += clear.eq(start)
    for name, event in events.items():
        count, step = Signal(COUNTER_WIDTH, name=name), Signal(name=f"{name}_step")
        m.d.comb += counters[name].eq(count)
        m.d.sync += [step.eq(busy & event), count.eq(count + step)]
        with m.If(clear):
            m.d.sync += count.eq(0)
