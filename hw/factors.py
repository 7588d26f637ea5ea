"""Factors of hard multipliers: a weight and a code, or two of each in one product."""

from functools import reduce
from operator import or_

import numpy as np
from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Factors", "paired_product"]


def paired_product(weights, codes, *, spacing):
    """Multiply two weights of 4 bits with two codes, in one product.

    Parameters
    ----------
    weights : two int arrays
        -8…7.
    codes : two int arrays
        0…15.
    spacing : int
        Bits between the factors, at least 9.

    Returns
    -------
    int64 array
        ``weights[0] * codes[0] + weights[1] * codes[1]``, times ``2 ** spacing``; below it stands
        ``weights[1] * codes[0]``. The sum of ``2 ** (spacing - 8)`` of them, rounded to multiples
        of ``2 ** spacing``, is that of the upper parts.

    Examples
    --------
    >>> paired_product((-3, 2), (4, 5), spacing=10).item()
    -2040
    >>> -2 * (1 << 10) + 2 * 4
    -2040
    """
    first, second = np.asarray(weights, np.int64)
    low, high = np.asarray(codes, np.int64)
    product = ((first << spacing) + second) * ((high << spacing) + low)
    # The sum of two products takes 9 bits; what stands above is something else.
    top = 1 << (spacing + 8)
    return (product + top) % (2 * top) - top


class Factors(wiring.Component):
    """What each lane of a row multiplies in a step.

    Parameters
    ----------
    rows, lanes : int
    spacing : int
        As of `paired_product`; 0 for none.

    Members
    -------
    pack : ``In(2)``
        log2 of the codes in a byte.
    paired, together : ``In(1)``
        Two codes share a product, or there is none to be made.
    next_step : ``In(2)``
        In the next cycle: codes before those of the step, over codes in a step.
    bytes : ``In(ArrayLayout(8, lanes))``
    words : ``In(ArrayLayout(ArrayLayout(9 or 8, rows), lanes))``
        As of `CodeTile`.
    codes : ``Out(ArrayLayout(spacing + 4 or 8, lanes))``
    weights : ``Out(ArrayLayout(ArrayLayout(signed(spacing + 5 or 8), rows), lanes))``
    """

    def __init__(self, *, rows: int, lanes: int, spacing: int):
        self.rows = rows
        self.lanes = lanes
        self.spacing = spacing
        word, code, weight = (9, spacing + 4, spacing + 5) if spacing else (8, 8, 8)
        super().__init__(
            {
                "pack": In(2),
                "paired": In(1),
                "together": In(1),
                "next_step": In(2),
                "bytes": In(data.ArrayLayout(8, lanes)),
                "words": In(data.ArrayLayout(data.ArrayLayout(word, rows), lanes)),
                "codes": Out(data.ArrayLayout(code, lanes)),
                "weights": Out(data.ArrayLayout(data.ArrayLayout(signed(weight), rows), lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Which quarter of a byte comes where is known before the byte.
        half = self.next_step[0] << 1
        low, low_above, high, high_above = (Signal(4, name=f"quarter_{k}") for k in range(4))
        whole = Signal()
        with m.If(self.together):
            m.d.sync += Cat(low, low_above, high, high_above, whole).eq(0)
        with m.Elif(self.paired):
            m.d.sync += [
                low.eq(Mux(self.pack[1], 1 << half, 1)),
                low_above.eq(Mux(self.pack[1], 0, 2)),
                high.eq(Mux(self.pack[1], 2 << half, 4)),
                high_above.eq(Mux(self.pack[1], 0, 8)),
                whole.eq(0),
            ]
        with m.Else():
            place = Mux(self.pack == 0, 0, Mux(self.pack[1], self.next_step, half))
            m.d.sync += [
                low.eq(1 << place),
                low_above.eq(Mux(self.pack[1], 0, 2 << place)),
                Cat(high, high_above).eq(0),
                whole.eq(self.pack == 0),
            ]

        for lane, byte in enumerate(self.bytes):
            code = Cat(
                _quarter(byte, low), _quarter(byte, low_above), byte[4:] & whole.replicate(4)
            )
            if self.spacing:
                above = Cat(_quarter(byte, high), _quarter(byte, high_above))
                code = code | (above << self.spacing)
            m.d.comb += self.codes[lane].eq(code)

            for row, word in enumerate(self.words[lane]):
                weight = word.as_signed()
                if self.spacing:  # a pair lies apart by 4 bits
                    pair = Cat(word[:4], word[3].replicate(self.spacing - 4), word[4:])
                    weight = Mux(self.paired, pair.as_signed(), weight)
                m.d.comb += self.weights[lane][row].eq(weight)
        return m


def _quarter(byte, chosen):
    """Two bits of a byte, by one of four."""
    quarters = (byte.word_select(k, 2) & chosen[k].replicate(2) for k in range(4))
    return reduce(or_, quarters)
