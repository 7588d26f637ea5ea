"""Round half to even of a quotient by a power of two, the one rounding of the whole system."""

import numpy as np

__all__ = ["shift_half_even"]


def shift_half_even(values, shift):
    """Divide by a power of two and round half to even.

    Parameters
    ----------
    values : int64 array
        Magnitudes below 2**62.
    shift : int or int array that broadcasts against `values`
        Bits to drop, 0…62.

    Returns
    -------
    int64 array
        ``rhe(values / 2**shift)``.

    Examples
    --------
    >>> shift_half_even([-6, -3, -2, 2, 3, 6, 7], 2).tolist()
    [-2, -1, 0, 0, 1, 2, 2]
    """
    values = np.asarray(values, np.int64)
    shift = np.asarray(shift, np.int64)
    floor = values >> shift
    rest = values - (floor << shift)
    half = (np.int64(1) << shift) >> 1
    up = (rest > half) | ((rest == half) & (half > 0) & (floor & 1 == 1))
    return floor + up
