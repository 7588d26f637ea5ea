"""Dot products of 2 bits by 2 bits, in look-up tables."""

import numpy as np
from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from downshift.hw.digit_tree import DIGITS

__all__ = ["SmallDots", "signed_brick", "signed_brick_product"]


def signed_brick(a, b):
    """Multiply a signed 2-bit number with an unsigned one: the golden function of a small product.

    Parameters
    ----------
    a : int8 array
        -2…1.
    b : uint8 array
        0…3.

    Returns
    -------
    int8 array
        -6…3.

    Examples
    --------
    >>> signed_brick(-2, 3).item()
    -6
    """
    return np.asarray(a, np.int8) * np.asarray(b, np.int8)


def signed_brick_product(a, b):
    """`signed_brick` in four look-up tables: each bit as a function of the four input bits."""
    return Cat(
        a[0] & b[0],
        (a[1] & b[0]) ^ (a[0] & b[1]),
        a[1] & b.any() & (a[0] | ~b.all()),
        a[1] & b.any(),
    ).as_signed()


class SmallDots(wiring.Component):
    """Dot products of 2-bit weights with 2-bit codes, one for each row.

    Parameters
    ----------
    rows, lanes : int
    pipelined : bool
        A register behind every level of the adder trees instead of every second one.

    Members
    -------
    enable : ``In(1)``
        Advance by one register.
    weights : ``In(ArrayLayout(ArrayLayout(8, rows), lanes))``
        Four of 2 bits in a byte, signed.
    codes : ``In(ArrayLayout(8, lanes))``
        Four of 2 bits in a byte.
    o : ``Out(ArrayLayout(signed(4 + log2(4 * lanes)), rows))``
        `latency` enabled cycles later.
    """

    def __init__(self, *, rows: int, lanes: int, pipelined: bool = True):
        self.rows = rows
        self.lanes = lanes
        self.pipelined = pipelined
        self.levels = ceil_log2(DIGITS * lanes)
        self.latency = self.latency_of(lanes=lanes, pipelined=pipelined)
        self.width = DIGITS + self.levels
        super().__init__(
            {
                "enable": In(1),
                "weights": In(data.ArrayLayout(data.ArrayLayout(8, rows), lanes)),
                "codes": In(data.ArrayLayout(8, lanes)),
                "o": Out(data.ArrayLayout(signed(self.width), rows)),
            }
        )

    @staticmethod
    def latency_of(*, lanes: int, pipelined: bool) -> int:
        """Cycles from codes to their sums."""
        levels = ceil_log2(DIGITS * lanes)
        return 1 + (levels if pipelined else -(-levels // 2))

    def elaborate(self, platform):
        m = Module()
        for row in range(self.rows):
            level = []
            for lane in range(self.lanes):
                for place in range(DIGITS):
                    product = Signal(signed(DIGITS), name=f"product_{row}_{lane}_{place}")
                    weight = self.weights[lane][row].word_select(place, 2)
                    code = self.codes[lane].word_select(place, 2)
                    with m.If(self.enable):
                        m.d.sync += product.eq(signed_brick_product(weight, code))
                    level.append(product)
            for depth in reversed(range(self.levels)):
                sums = [
                    Signal(signed(len(level[0]) + 1), name=f"sum_{row}_{depth}_{k}")
                    for k in range(1 << depth)
                ]
                adding = [total.eq(a + b) for total, a, b in zip(
                    sums, level[::2], level[1::2], strict=True
                )]  # fmt: skip
                if self.pipelined or depth % 2 == 0:
                    with m.If(self.enable):
                        m.d.sync += adding
                else:
                    m.d.comb += adding
                level = sums
            m.d.comb += self.o[row].eq(level[0])
        return m
