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
    """Count the cycles of a frame in which each event is."""
    for name, event in events.items():
        count = Signal(COUNTER_WIDTH, name=name)
        m.d.comb += counters[name].eq(count)
        with m.If(busy):
            m.d.sync += count.eq(count + event)
        with m.Elif(start):
            m.d.sync += count.eq(0)
