"""The word format: codes of one pixel as quarters of a word."""

from dataclasses import replace

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.generate import shared
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.registers import registered
from downshift.hw.table import LANES, QUARTERS

__all__ = ["CODES", "WordFormat", "format_words"]

CODES = 16
"""Channels that come at once: those of the largest group."""


def format_words(codes, layout):
    """Put the codes of a pixel into words: the golden function of `WordFormat`.

    Parameters
    ----------
    codes : uint8 array, shape (16,)
    layout : MapLayout
        Of which `group`, `pack` and `code_width` count.

    Returns
    -------
    uint8 array, shape (16 / group, 4, 4)
        For each group of channels, a word in which the pixel stands in every slot, or in both
        halves of every slot.
    """
    channels = max(CODES, layout.group)
    pixels = np.broadcast_to(np.resize(codes, channels), (layout.slots, 1, channels))
    single = replace(layout, height=layout.slots, width=1, channels=channels, strip=1)
    return single.encode(pixels, zero_point=0).reshape(-1, QUARTERS, LANES)


class WordFormat(wiring.Component):
    """Put the codes of a pixel into words, one after the other.

    The twin of `format_words`. With codes and `index` 0 in one cycle, the first word comes
    `latency` cycles later. `pack`, `group` and `spare` have been stable for two cycles then.

    Members
    -------
    pack : ``In(2)``
    group : ``In(2)``
        log2 of a quarter of the channels in a word.
    spare : ``In(2)``
        Bits that a code has less than its place, by twos.
    load, i : ``In(1)``, ``In(ArrayLayout(8, 16))``
        Codes of the next pixel.
    index : ``In(2)``
        Group of channels whose word comes next.
    o : ``Out(ArrayLayout(8, 16))``
    """

    latency = 3

    pack: In(2)
    group: In(2)
    spare: In(2)
    load: In(1)
    i: In(data.ArrayLayout(8, CODES))
    index: In(2)
    o: Out(data.ArrayLayout(8, WORD_BYTES))

    def elaborate(self, platform):
        m = Module()

        told = registered(m, {name: getattr(self, name) for name in ("pack", "group", "spare")})

        # Cycle 1: aligned to the left.
        codes = Signal(data.ArrayLayout(8, CODES), reset_less=True)
        load, index = Signal(), Signal(2, reset_less=True)
        m.d.sync += [load.eq(self.load), index.eq(self.index)]
        for code, coming in zip(codes, self.i, strict=True):
            m.d.sync += code.eq(coming << Cat(0, told["spare"]))

        # Cycle 2: as bytes; at two or four codes a byte, each pair or all of the quarters alike.
        packed = Signal(data.ArrayLayout(8, CODES), reset_less=True)
        for place in range(CODES):
            quarter, lane = divmod(place, LANES)
            pair, four = 2 * LANES * (quarter % 2) + lane, lane
            byte = Signal(8, name=f"byte_{place}")
            with m.Switch(told["pack"]):
                with m.Case(0):
                    m.d.comb += byte.eq(codes[place])
                with m.Case(1):
                    m.d.comb += byte.eq(Cat(codes[pair][:4], codes[pair + LANES][:4]))
                with m.Default():
                    m.d.comb += byte.eq(Cat(codes[four + LANES * t][:2] for t in range(4)))
            with m.If(load):
                m.d.sync += packed[place].eq(byte)

        # Cycle 3: the group, in every slot.
        parts = Signal(2, reset_less=True)  # log2 of the quarters of a slot
        m.d.sync += parts.eq(told["group"] - told["pack"])
        for quarter in range(QUARTERS):
            inside = Mux(parts == 0, 0, Mux(parts == 1, quarter % 2, quarter))
            choice = QuarterChoice()
            m.submodules[f"quarter_{quarter}"] = shared(choice, platform)
            m.d.comb += [choice.source.eq((index << parts) | inside), choice.i.eq(packed)]
            for lane in range(LANES):
                m.d.comb += self.o[LANES * quarter + lane].eq(choice.o[lane])

        return m


class QuarterChoice(wiring.Component):
    """A quarter of a word, of the four that there are; what chooses it stands beside it.

    Members
    -------
    source : ``In(2)``
        Quarter that is taken from `i` in the next cycle.
    i, o : ``In(ArrayLayout(8, 16))``, ``Out(ArrayLayout(8, 4))``
    """

    source: In(2)
    i: In(data.ArrayLayout(8, WORD_BYTES))
    o: Out(data.ArrayLayout(8, LANES))

    def elaborate(self, platform):
        m = Module()
        source = Signal.like(self.source, reset_less=True)
        m.d.sync += source.eq(self.source)
        for lane in range(LANES):
            options = Cat(self.i[LANES * quarter + lane] for quarter in range(QUARTERS))
            byte = data.View(data.ArrayLayout(8, QUARTERS), options)[source]
            m.d.sync += self.o[lane].eq(byte)
        return m
