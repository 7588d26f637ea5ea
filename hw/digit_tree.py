"""The digit tree: sums over the lanes of each 2-bit digit, weighed by how codes share a byte."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["DIGITS", "DigitTree", "tree_latency"]

DIGITS = 4
"""2-bit digits in a byte."""


def tree_latency(lanes):
    """Registers between the values that enter a `DigitTree` and their sum."""
    return ceil_log2(lanes) + 2


class DigitTree(wiring.Component):
    """Sum the lanes of each digit position, then the positions by their weight.

    One register for each level of the adder trees and two for the positions: `latency` enabled
    cycles. Bytes of one code weigh their digits 1, 4, 16, 64; of two codes 1, 4, 1, 4; of four
    codes 1 each.

    Parameters
    ----------
    lanes : int
        Values summed at each position; a power of two.
    width : int
        Bits of a value, unsigned.

    Members
    -------
    enable : ``In(1)``
        Advance by one register.
    pack : ``In(2)``
        log2 of the codes in a byte, 0…2.
    i : ``In(ArrayLayout(ArrayLayout(width, 4), lanes))``
        Values by lane and position.
    o : ``Out(width + log2(lanes) + 7)``
        Their weighted sum.
    """

    def __init__(self, *, lanes: int, width: int):
        self.lanes = lanes
        self.width = width
        self.latency = tree_latency(lanes)
        self.sum_width = width + ceil_log2(lanes)
        super().__init__(
            {
                "enable": In(1),
                "pack": In(2),
                "i": In(data.ArrayLayout(data.ArrayLayout(width, DIGITS), lanes)),
                "o": Out(self.sum_width + 7),  # at most 85 times a sum
            }
        )

    def elaborate(self, platform):
        m = Module()

        # One adder tree per position, a register per level.
        sums = []
        for position in range(DIGITS):
            level = [self.i[lane][position] for lane in range(self.lanes)]
            while len(level) > 1:
                halves = [
                    Signal(len(level[0]) + 1, name=f"sum_{position}_{len(level) // 2}_{k}")
                    for k in range(len(level) // 2)
                ]
                with m.If(self.enable):
                    for half, a, b in zip(halves, level[::2], level[1::2], strict=True):
                        m.d.sync += half.eq(a + b)
                level = halves
            sums.append(level[0])

        # Neighbouring positions: a second digit weighs 4 unless it is a code of its own.
        low = Signal(self.sum_width + 3)
        high = Signal(self.sum_width + 3)
        separate = self.pack == 2
        with m.If(self.enable):
            m.d.sync += [
                low.eq(sums[0] + Mux(separate, sums[1], sums[1] << 2)),
                high.eq(sums[2] + Mux(separate, sums[3], sums[3] << 2)),
            ]

        # Halves of the byte: the upper one weighs 16 unless it holds codes of its own.
        with m.If(self.enable):
            m.d.sync += self.o.eq(low + Mux(self.pack == 0, high << 4, high))

        return m
