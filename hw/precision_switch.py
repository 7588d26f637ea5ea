"""The precision switch: low-bit weights from the stored int8 ones, by shift and round."""

import numpy as np
from amaranth import Module, Mux, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.rounding import shift_half_even

__all__ = ["PrecisionSwitch", "precision_switch"]

STORED_WIDTH = 8


def precision_switch(codes, *, width, stored_width=STORED_WIDTH):
    """Derive `width`-bit weights from stored ones.

    Parameters
    ----------
    codes : int array
        Stored weights, signed, `stored_width` bits.
    width : int
        Bits of the result, 2…`stored_width`.
    stored_width : int
        Bits of `codes`, at most 8.

    Returns
    -------
    int8 array
        ``clip(rhe(codes / 2**(stored_width - width)), -2**(width-1), 2**(width-1) - 1)``, always
        from the stored codes: cascading through a width between gives other numbers.

    Raises
    ------
    ValueError
        If `width` or `stored_width` is out of range, or a code does not fit.

    Notes
    -----
    The inference side of Double Rounding: Huang et al., *Nearly Lossless Adaptive Bit Switching*,
    arXiv 2502.01199.

    Examples
    --------
    >>> precision_switch([-128, -33, -32, 31, 32, 96, 127], width=2).tolist()
    [-2, -1, 0, 0, 0, 1, 1]
    """
    if not 2 <= stored_width <= STORED_WIDTH:
        raise ValueError(f"Stored width must be in 2..{STORED_WIDTH}, not {stored_width!r}")
    if not 2 <= width <= stored_width:
        raise ValueError(f"Width must be in 2..{stored_width}, not {width!r}")
    codes = np.asarray(codes)
    limit = 1 << (stored_width - 1)
    if codes.size and not (codes.min() >= -limit and codes.max() < limit):
        raise ValueError(
            f"Codes must be in {-limit}..{limit - 1}, not {codes.min()}..{codes.max()}"
        )
    top = 1 << (width - 1)
    rounded = shift_half_even(codes, stored_width - width)
    return np.clip(rounded, -top, top - 1).astype(np.int8)


class PrecisionSwitch(wiring.Component):
    """`precision_switch` on `lanes` stored int8 weights a cycle.

    One register stage; a word stays offered until it is taken. `width` must be stable while data
    flows.

    Parameters
    ----------
    lanes : int
        Weights in a word.

    Members
    -------
    width : ``In(4)``
        Bits of the result, 2…8.
    i : ``In(stream.Signature(ArrayLayout(signed(8), lanes)))``
        Stored weights.
    o : ``Out(stream.Signature(ArrayLayout(signed(8), lanes)))``
        Weights of `width` bits, sign-extended.
    """

    latency = 1

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, lanes: int):
        if not isinstance(lanes, int) or lanes < 1:
            raise ValueError(f"Lanes must be a positive integer, not {lanes!r}")
        self.lanes = lanes
        codes = data.ArrayLayout(signed(8), lanes)
        super().__init__(
            {
                "width": In(4),
                "i": In(stream.Signature(codes)),
                "o": Out(stream.Signature(codes)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)

        # Each result is one multiplexer over the widths; the rounding of a width is constant logic.
        for stored, switched in zip(self.i.payload, self.o.payload, strict=True):
            with m.If(self.i.ready & self.i.valid), m.Switch(self.width):
                for width in range(2, 9):
                    with m.Case(width):
                        m.d.sync += switched.eq(_switched(stored, width))

        return m


def _switched(stored, width):
    """`stored` at a constant `width`: add half, drop, force ties even, clip at the top."""
    drop = 8 - width
    if drop == 0:
        return stored
    # floor + (guard & (sticky | odd)): half to even in one carry chain.
    floor = stored[drop:].as_signed()
    guard = stored[drop - 1]
    sticky = stored[: drop - 1].any()
    up = guard & (sticky | floor[0])
    # Only the largest floor can leave the range, and only upwards.
    top = (1 << (width - 1)) - 1
    return Mux(floor == top, top, (floor + up)[:width].as_signed())
