"""The precision switch: low-bit weights from the stored int8 ones, by shift and round."""

import numpy as np
from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.rounding import shift_half_even

__all__ = ["CENTRED_WIDTH", "PrecisionSwitch", "code_width", "precision_switch", "switch_code"]

STORED_WIDTH = 8
CENTRED_WIDTH = 3
"""Bits of a centred weight: two that are stored, and one for the half step."""


def precision_switch(codes, *, width, stored_width=STORED_WIDTH, centred=False):
    """Derive `width`-bit weights from stored ones.

    Parameters
    ----------
    codes : int array
        Stored weights, signed, `stored_width` bits.
    width : int
        Bits of the result, 1…`stored_width`; 1 bit is the sign, and zero counts as positive.
    stored_width : int
        Bits of `codes`, at most 8.
    centred : bool
        Give the middle of each step that two bits have, in halves of that step: 3 bits.

    Returns
    -------
    int8 array
        ``clip(rhe(codes / 2**(stored_width - width)), -2**(width-1), 2**(width-1) - 1)``, always
        from the stored codes: cascading through a width between gives other numbers. At 1 bit, -1
        or 1. Centred, ``2 * floor(codes / 2**(stored_width - 2)) + 1``, but 0 for 0.

    Raises
    ------
    ValueError
        If `width` or `stored_width` is out of range, a code does not fit, or centred weights are
        to have other than 3 bits.

    Notes
    -----
    The inference side of Double Rounding: Huang et al., *Nearly Lossless Adaptive Bit Switching*,
    arXiv 2502.01199.

    Examples
    --------
    >>> precision_switch([-128, -33, -32, 31, 32, 96, 127], width=2).tolist()
    [-2, -1, 0, 0, 0, 1, 1]
    >>> precision_switch([-128, -65, -1, 0, 1, 63, 64, 127], width=3, centred=True).tolist()
    [-3, -3, -1, 0, 1, 1, 3, 3]
    >>> precision_switch([-128, -1, 0, 127], width=1).tolist()
    [-1, -1, 1, 1]
    """
    if not 2 <= stored_width <= STORED_WIDTH:
        raise ValueError(f"Stored width must be in 2..{STORED_WIDTH}, not {stored_width!r}")
    if not 1 <= width <= stored_width:
        raise ValueError(f"Width must be in 1..{stored_width}, not {width!r}")
    codes = np.asarray(codes)
    limit = 1 << (stored_width - 1)
    if codes.size and not (codes.min() >= -limit and codes.max() < limit):
        raise ValueError(
            f"Codes must be in {-limit}..{limit - 1}, not {codes.min()}..{codes.max()}"
        )
    if centred:
        if width != CENTRED_WIDTH:
            raise ValueError(f"Centred weights have {CENTRED_WIDTH} bits, not {width!r}")
        return np.where(codes == 0, 0, codes >> stored_width - width | 1).astype(np.int8)
    if width == 1:
        return np.where(codes < 0, -1, 1).astype(np.int8)
    top = 1 << (width - 1)
    rounded = shift_half_even(codes, stored_width - width)
    return np.clip(rounded, -top, top - 1).astype(np.int8)


def switch_code(width, *, centred=False):
    """Tell the switch of an accelerator in four bits what it shall give.

    Examples
    --------
    >>> switch_code(8), switch_code(3), switch_code(3, centred=True)
    (8, 3, 11)
    """
    return width + STORED_WIDTH * centred


def code_width(code):
    """Bits of the weights that a `switch_code` gives.

    Examples
    --------
    >>> code_width(8), code_width(3), code_width(11)
    (8, 3, 3)
    """
    return (code - 1) % STORED_WIDTH + 1


class PrecisionSwitch(wiring.Component):
    """`precision_switch` on `lanes` stored int8 weights a cycle.

    Two register stages, `latency` cycles; a word stays offered until it is taken. `width` must be
    stable while data flows.

    Parameters
    ----------
    lanes : int
        Weights in a word.

    Members
    -------
    width : ``In(4)``
        `switch_code` of the result.
    i : ``In(stream.Signature(ArrayLayout(signed(8), lanes)))``
        Stored weights.
    o : ``Out(stream.Signature(ArrayLayout(signed(8), lanes)))``
        Weights of `width` bits, sign-extended.
    """

    latency = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, lanes: int):
        if not isinstance(lanes, int) or lanes < 1:
            raise ValueError(f"Lanes must be a positive integer, not {lanes!r}")
        self.lanes = lanes
        codes = data.ArrayLayout(signed(STORED_WIDTH), lanes)
        super().__init__(
            {
                "width": In(4),
                "i": In(stream.Signature(codes)),
                "o": Out(stream.Signature(codes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        advance = Signal()
        shifted = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
        ]
        with m.If(advance):
            m.d.sync += [shifted.eq(self.i.valid), self.o.valid.eq(shifted)]

        # Half a step less one is added, and one more if the last bit that is kept is set.
        drop, centred, added = Signal(3), Signal(), Signal(STORED_WIDTH)
        m.d.comb += [
            drop.eq(STORED_WIDTH - self.width),
            centred.eq(self.width == switch_code(CENTRED_WIDTH, centred=True)),
            added.eq(Mux(centred, 0, (1 << drop) - 1 >> 1)),
        ]
        for k in range(self.lanes):
            # Cycle 1: round half to even, at the top of the byte.
            stored = self.i.p[k]
            last_kept = Signal(name=f"last_kept_{k}")
            rounded = Signal(signed(STORED_WIDTH), name=f"rounded_{k}")
            positive, odd = Signal(name=f"positive_{k}"), Signal(name=f"odd_{k}")
            with m.Switch(drop):
                for dropped in range(1, STORED_WIDTH - 1):
                    with m.Case(dropped):
                        m.d.comb += last_kept.eq(stored[dropped])
            with m.If(advance):
                m.d.sync += [
                    rounded.eq(stored + added + (last_kept & ~centred)),
                    positive.eq(stored >= 0),
                    odd.eq(centred & stored.any()),
                ]

            # Cycle 2: clip at the top, where all bits have turned over; shift.
            beyond = positive & rounded[-1]
            clipped = Signal(signed(STORED_WIDTH), name=f"clipped_{k}")
            m.d.comb += clipped.eq(rounded ^ beyond.replicate(STORED_WIDTH))
            with m.If(advance):
                m.d.sync += self.o.p[k].eq(clipped >> drop | odd)

        return m
