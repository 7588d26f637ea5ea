"""Factors of hard multipliers: a weight and a code, or two of each in one product."""

import numpy as np
from amaranth import Cat, Module, Mux, signed
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
    """What each lane of a row multiplies in a step; combinational.

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
    step : ``In(2)``
        Codes before those of this step, over codes in a step.
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
                "step": In(2),
                "bytes": In(data.ArrayLayout(8, lanes)),
                "words": In(data.ArrayLayout(data.ArrayLayout(word, rows), lanes)),
                "codes": Out(data.ArrayLayout(code, lanes)),
                "weights": Out(data.ArrayLayout(data.ArrayLayout(signed(weight), rows), lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for lane, byte in enumerate(self.bytes):
            half = byte.word_select(self.step[0], 4)
            quarter = byte.word_select(self.step, 2)
            single = Mux(self.pack == 0, byte, Mux(self.pack[1], quarter, half))
            code = Mux(self.together, 0, single)
            if self.spacing:
                low = Mux(self.pack[1], half[:2], byte[:4])
                high = Mux(self.pack[1], half[2:], byte[4:])
                code = Mux(self.paired, (high << self.spacing) | low, code)
            m.d.comb += self.codes[lane].eq(code)

            for row, word in enumerate(self.words[lane]):
                weight = word.as_signed()
                if self.spacing:  # a pair lies apart by 4 bits
                    pair = Cat(word[:4], word[3].replicate(self.spacing - 4), word[4:])
                    weight = Mux(self.paired, pair.as_signed(), weight)
                m.d.comb += self.weights[lane][row].eq(weight)
        return m
