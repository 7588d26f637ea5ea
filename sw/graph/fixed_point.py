"""Scales as the requantizer takes them: a 16-bit multiplier and a shift."""

import numpy as np

__all__ = ["fixed_point"]


def fixed_point(factor):
    """Write positive factors as ``multiplier / 2**shift`` with a normalised 16-bit multiplier.

    Parameters
    ----------
    factor : float64 array
        Positive, below 65535.5.

    Returns
    -------
    multiplier : uint16 array
        2**15…2**16 - 1; within 2**-16 of `factor`, relatively.
    shift : uint8 array
        0…63. A factor below 2**-48 becomes 2**-48: it rounds every int32 to zero.

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
    factor = np.maximum(np.asarray(factor, np.float64), 2.0**-48)
    fraction, exponent = np.frexp(factor)  # 0.5 <= fraction < 1
    multiplier = np.rint(np.ldexp(fraction, 16))
    carry = multiplier == 1 << 16
    multiplier = np.where(carry, 1 << 15, multiplier)
    shift = 16 - exponent - carry
    if not np.all(shift >= 0):
        raise ValueError(f"Factor must be below 65535.5, not {factor.max()}")
    return multiplier.astype(np.uint16), shift.astype(np.uint8)
