"""Scales as the requantizer takes them: a multiplier of 16 or 24 bits, and a shift."""

import numpy as np

__all__ = ["MULTIPLIERS", "fixed_point", "multiplier_width"]

MULTIPLIERS = {16: np.dtype(np.uint16), 24: np.dtype(np.uint32)}
"""Bits that a multiplier may have, and how arrays hold it."""


def fixed_point(factor, *, width: int = 16):
    """Write positive factors as ``multiplier / 2**shift`` with a normalised multiplier.

    Where 16 bits give the same values as more would, they are enough.

    Parameters
    ----------
    factor : float64 array
        Positive; rounds to less than 2**`width`.
    width : int
        Bits that multipliers may have, 16 or 24.

    Returns
    -------
    multiplier : uint16 or uint32 array
        Normalised to 16 or 24 bits; within ``2**-width`` of `factor`, relatively.
    shift : uint8 array
        0…63. A factor below ``2**(width - 64)`` becomes that: it rounds every int32 to zero.

    Raises
    ------
    ValueError
        If a factor is out of range.

    Examples
    --------
    >>> multiplier, shift = fixed_point([1.0, 0.1])
    >>> multiplier.tolist(), shift.tolist()
    ([32768, 52429], [15, 19])
    """
    factor = np.maximum(np.asarray(factor, np.float64), 2.0 ** (width - 64))
    fraction, exponent = np.frexp(factor)  # 0.5 <= fraction < 1
    multiplier = np.rint(np.ldexp(fraction, width))
    carry = multiplier == 1 << width
    multiplier = np.where(carry, 1 << width - 1, multiplier)
    shift = width - exponent - carry
    if not np.all(shift >= 0):
        raise ValueError(f"Factor must be below {(1 << width) - 0.5}, not {factor.max()}")
    lower = multiplier / (1 << width - 16)
    if np.all(lower == np.floor(lower)) and np.all(shift >= width - 16):
        multiplier, shift, width = lower, shift - (width - 16), 16
    return multiplier.astype(MULTIPLIERS[width]), shift.astype(np.uint8)


def multiplier_width(multiplier: np.ndarray) -> int | None:
    """Bits of the multipliers of an array; None if its type is that of none.

    Examples
    --------
    >>> multiplier_width(np.uint32([1 << 23]))
    24
    """
    return next((width for width, kind in MULTIPLIERS.items() if multiplier.dtype == kind), None)
