"""Counters: what an engine counts during a frame."""

from amaranth import Signal
from amaranth.lib import data

__all__ = ["COUNTER_WIDTH", "MOST_CYCLES", "Counters", "CycleUse", "count_events", "over_time"]

COUNTER_WIDTH = 24
"""Bits that count: 0.2 seconds at 80 MHz."""
MOST_CYCLES = 1 << COUNTER_WIDTH
"""Of a frame; one that takes more is given up."""


class CycleUse(data.Struct):
    """What a cycle of a frame goes to: one of these; none, if it goes to anything else."""

    busy: 1
    """Multipliers, or what stands for them, work."""
    tile_load: 1
    """They wait for weights, or for tables to be filled from them."""
    fetch: 1
    """They wait for the map that enters, or a pool reads it."""


class Counters(data.Struct):
    """Counts of the last frame."""

    cycles: 32
    """From start to done."""
    busy: 32
    tile_load: 32
    fetch: 32
    """Cycles, as of `CycleUse`."""
    weight_words: 32
    """Words read from the weight store."""


def count_events(m, counters, *, busy, start, events):
    """Count the cycles of a frame in which each event is; they are known two cycles later."""
    clear = Signal()
    m.d.sync += clear.eq(start)
    for name, event in events.items():
        # One bit more tells that there are too many cycles.
        width = COUNTER_WIDTH + (name == "cycles")
        count, step = Signal(width, name=f"count_{name}"), Signal(name=f"count_{name}_step")
        m.d.comb += counters[name].eq(count)
        m.d.sync += [step.eq(busy & event), count.eq(count + step)]
        with m.If(clear):
            m.d.sync += count.eq(0)


def over_time(counters):
    """Whether a frame has taken `MOST_CYCLES`."""
    return counters.cycles[COUNTER_WIDTH]
