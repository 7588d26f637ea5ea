"""The word format: codes of one pixel as quarters of a word."""

from dataclasses import replace

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.table import LANES, QUARTERS

__all__ = ["CODES", "WordFormat", "format_word"]

CODES = 16
"""Channels that come at once: those of the largest group."""


def format_word(codes, layout):
    """Put the first channels of a pixel into a word: the golden function of `WordFormat`.

    Parameters
    ----------
    codes : uint8 array, shape (16,)
        Of which the first `group` count.
    layout : MapLayout
        Of which `group`, `pack` and `code_width` count.

    Returns
    -------
    uint8 array, shape (4, 4)
        The pixel stands in every slot.
    """
    pixels = np.broadcast_to(codes[: layout.group], (layout.slots, 1, layout.group))
    single = replace(layout, height=layout.slots, width=1, channels=layout.group, strip=1)
    return single.encode(pixels, zero_point=0).reshape(QUARTERS, LANES)


class WordFormat(wiring.Component):
    """Offer the codes of a pixel in a word, `latency` cycles later.

    The twin of `format_word`.

    Members
    -------
    pack : ``In(2)``
    group : ``In(2)``
        log2 of a quarter of the channels in a word.
    spare : ``In(2)``
        Bits that a code has less than its place, by twos.
    i : ``In(ArrayLayout(8, 16))``
        Codes.
    o : ``Out(ArrayLayout(8, 16))``
    """

    latency = 2

    pack: In(2)
    group: In(2)
    spare: In(2)
    i: In(data.ArrayLayout(8, CODES))
    o: Out(data.ArrayLayout(8, WORD_BYTES))

    def elaborate(self, platform):
        m = Module()

        # Cycle 1: as bytes; at two or four codes a byte, each pair or all of the quarters alike.
        packed = Signal(data.ArrayLayout(8, CODES), reset_less=True)
        codes = Signal(data.ArrayLayout(8, CODES))
        shift = Cat(0, self.spare)
        for place in range(CODES):
            quarter, lane = divmod(place, LANES)
            pair, four = 2 * LANES * (quarter % 2) + lane, lane
            m.d.comb += codes[place].eq(self.i[place] << shift)
            with m.Switch(self.pack):
                with m.Case(0):
                    m.d.sync += packed[place].eq(codes[place])
                with m.Case(1):
                    m.d.sync += packed[place].eq(Cat(codes[pair][:4], codes[pair + LANES][:4]))
                with m.Default():
                    m.d.sync += packed[place].eq(
                        Cat(self.i[four + LANES * t][:2] for t in range(4))
                    )

        # Cycle 2: in every slot.
        parts = Signal(2)  # log2 of the quarters of a slot, were all of them different
        m.d.comb += parts.eq(self.group - self.pack)
        for quarter in range(QUARTERS):
            source = Mux(parts == 0, 0, Mux(parts == 1, quarter % 2, quarter))
            for lane in range(LANES):
                options = [packed[LANES * k + lane] for k in range(QUARTERS)]
                byte = data.View(data.ArrayLayout(8, QUARTERS), Cat(options))[source]
                m.d.sync += self.o[LANES * quarter + lane].eq(byte)

        return m
