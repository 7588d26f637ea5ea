"""The word format: codes of one pixel, channel by channel, as quarters of words."""

from dataclasses import replace

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.map_layout import WORD_BYTES
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
        For each group of channels, a word in which the pixel stands in every slot.
    """
    pixels = np.broadcast_to(codes, (layout.slots, 1, CODES))
    single = replace(layout, height=layout.slots, width=1, channels=CODES, strip=1)
    return single.encode(pixels, zero_point=0).reshape(-1, QUARTERS, LANES)


class WordFormat(wiring.Component):
    """Offer the codes of a pixel in words, one for each group of channels.

    The twin of `format_words`. The first word `latency` cycles after the codes, the others follow;
    codes are taken no faster than their words leave.

    Members
    -------
    pack : ``In(2)``
    group : ``In(2)``
        log2 of a quarter of the channels in a word.
    six : ``In(1)``
        Codes have two bits less than their place: 6 of 8.
    i : ``In(stream.Signature(ArrayLayout(8, 16)))``
        Codes.
    o : ``Out(stream.Signature(ArrayLayout(8, 16), always_ready=True))``
        Words; the pixel stands in every slot.
    last : ``Out(1)``
        It is the last word of its pixel.
    """

    i: stream.Interface
    o: stream.Interface

    latency = 2

    def __init__(self):
        codes, word = data.ArrayLayout(8, CODES), data.ArrayLayout(8, WORD_BYTES)
        super().__init__(
            {
                "pack": In(2),
                "group": In(2),
                "six": In(1),
                "i": In(stream.Signature(codes)),
                "o": Out(stream.Signature(word, always_ready=True)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Cycle 1: as bytes; at two or four codes a byte, each pair or all of the quarters alike.
        packed = Signal(data.ArrayLayout(8, CODES), reset_less=True)
        left = Signal(3)  # words to come
        taken = Signal()
        m.d.comb += [
            self.i.ready.eq(left <= 1),
            taken.eq(self.i.valid & self.i.ready),
        ]
        codes = self.i.p
        for place in range(CODES):
            quarter, lane = divmod(place, LANES)
            pair, four = 2 * LANES * (quarter % 2) + lane, lane
            byte = Signal(8, name=f"byte_{place}")
            with m.Switch(self.pack):
                with m.Case(0):
                    m.d.comb += byte.eq(Mux(self.six, codes[place] << 2, codes[place]))
                with m.Case(1):
                    m.d.comb += byte.eq(Cat(codes[pair][:4], codes[pair + LANES][:4]))
                with m.Default():
                    m.d.comb += byte.eq(Cat(codes[four + LANES * t][:2] for t in range(4)))
            with m.If(taken):
                m.d.sync += packed[place].eq(byte)

        # Cycle 2: the group, in every slot.
        index = Signal(2)
        with m.If(taken):
            m.d.sync += [left.eq(CODES // LANES >> self.group), index.eq(0)]
        with m.Elif(left != 0):
            m.d.sync += [left.eq(left - 1), index.eq(index + 1)]
        m.d.sync += [self.o.valid.eq(left != 0), self.last.eq(left == 1)]
        parts = Signal(2)  # log2 of the quarters of a slot
        m.d.comb += parts.eq(self.group - self.pack)
        for quarter in range(QUARTERS):
            source = Signal(2, name=f"source_{quarter}")
            inside = Mux(parts == 0, 0, Mux(parts == 1, quarter % 2, quarter))
            m.d.comb += source.eq((index << parts) | inside)
            for lane in range(LANES):
                options = data.View(data.ArrayLayout(8, QUARTERS), Cat(
                    packed[LANES * k + lane] for k in range(QUARTERS)
                ))  # fmt: skip
                m.d.sync += self.o.p[LANES * quarter + lane].eq(options[source])

        return m
