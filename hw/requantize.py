"""Requantization: int32 accumulators to activation codes, by one multiply, add and shift."""

import numpy as np

from downshift.hw.rounding import shift_half_even

__all__ = ["requantize"]


def requantize(acc, *, bias, multiplier, shift, zero_point, width):
    """Rescale accumulators to unsigned activation codes.

    Parameters
    ----------
    acc : int32 array, shape (..., channels)
        Accumulators.
    bias : int32 array, shape (channels,) or scalar
        Added before scaling.
    multiplier : uint16 array, shape (channels,) or scalar
        M of the scale M / 2**S.
    shift : uint8 array, shape (channels,) or scalar
        S of the scale, 0…63.
    zero_point : int
        Code of zero, 0…255, added after rounding.
    width : int
        Bits of the codes, 2…8.

    Returns
    -------
    uint8 array, the shape of `acc`
        ``clip(rhe((acc + bias) * multiplier / 2**shift) + zero_point, 0, 2**width - 1)``.

    Examples
    --------
    >>> requantize([-9, 5, 7, 900], bias=1, multiplier=1 << 15, shift=17, zero_point=2,
    ...            width=8).tolist()
    [0, 4, 4, 227]
    """
    scaled = (np.asarray(acc, np.int64) + bias) * np.asarray(multiplier, np.int64)
    # |scaled| < 2**49: a shift beyond 51 gives what 51 gives.
    rounded = shift_half_even(scaled, np.minimum(np.asarray(shift, np.int64), 51))
    return np.clip(rounded + zero_point, 0, (1 << width) - 1).astype(np.uint8)
