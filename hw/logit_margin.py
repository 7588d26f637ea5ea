"""The margin of logits: whether the two best are too close to each other."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["MARGIN_WIDTH", "LogitMargin", "logit_margin"]

MARGIN_WIDTH = 24
"""Bits of what a margin is compared with."""
LOGIT = 32


def logit_margin(logits):
    """Return the best logit less the second best: the golden function of `LogitMargin`.

    Examples
    --------
    >>> logit_margin([-3, 7, 7]), logit_margin([5])
    (0, 2147483653)
    """
    best, second = sorted([*logits, -(1 << LOGIT - 1)], reverse=True)[:2]
    return best - second


class LogitMargin(wiring.Component):
    """Compare the margin of logits, which come byte by byte, with a threshold.

    Members
    -------
    start : ``In(1)``
        Forget all logits so far.
    enable, byte : ``In(1)``, ``In(8)``
        A byte of a logit, lowest first.
    threshold : ``In(MARGIN_WIDTH)``
    close : ``Out(1)``
        The margin is below the threshold; `latency` cycles after the last byte.
    """

    latency = 4

    start: In(1)
    enable: In(1)
    byte: In(8)
    threshold: In(MARGIN_WIDTH)
    close: Out(1)

    def elaborate(self, platform):
        m = Module()
        logit = Signal(LOGIT)
        count, whole = Signal(2), Signal()
        least = -(1 << LOGIT - 1)
        best, second = Signal(signed(LOGIT), init=least), Signal(signed(LOGIT), init=least)
        margin = Signal(LOGIT)
        m.d.sync += [
            whole.eq(self.enable & (count == 3)),
            margin.eq(best - second),
            self.close.eq(margin < self.threshold),
        ]
        with m.If(self.enable):
            m.d.sync += [logit.eq(Cat(logit[8:], self.byte)), count.eq(count + 1)]
        value = logit.as_signed()
        with m.If(whole & (value > best)):
            m.d.sync += [best.eq(value), second.eq(best)]
        with m.Elif(whole & (value > second)):
            m.d.sync += second.eq(value)
        with m.If(self.start):
            m.d.sync += [best.eq(least), second.eq(least), count.eq(0)]
        return m
