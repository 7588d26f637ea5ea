"""What every MAC array computes: exact integer dot products."""

import numpy as np

__all__ = ["accumulator_bounds", "multiply_accumulate"]


def multiply_accumulate(weights, activations):
    """Multiply and accumulate, exactly.

    Parameters
    ----------
    weights : int8 array, shape (rows, depth)
        Signed weights.
    activations : uint8 array, shape (..., depth)
        Unsigned activation codes.

    Returns
    -------
    int32 array, shape (..., rows)
        ``activations @ weights.T``.

    Raises
    ------
    OverflowError
        If a sum could leave int32.

    Notes
    -----
    The products run through BLAS: in float32 where every partial sum is below 2**24 and therefore
    exact in any order, in float64 otherwise.

    Examples
    --------
    >>> multiply_accumulate(np.int8([[1, -2]]), np.uint8([[255, 3], [0, 1]])).tolist()
    [[249], [-2]]
    """
    weights = np.asarray(weights)
    low, high = accumulator_bounds(weights, activation_max=255)
    largest = int(max(-low.min(initial=0), high.max(initial=0)))
    if largest >= 1 << 31:
        raise OverflowError(f"Sums may reach {largest}, beyond int32")
    # Any subset of the products stays within the sum of one sign.
    dtype = np.float32 if largest < 1 << 24 else np.float64
    sums = np.asarray(activations, dtype) @ weights.T.astype(dtype)
    return sums.astype(np.int32)


def accumulator_bounds(weights, *, activation_max):
    """Bound every partial sum of a row, in any order of summation.

    Parameters
    ----------
    weights : int8 array, shape (rows, depth)
        Signed weights.
    activation_max : int
        Largest activation code.

    Returns
    -------
    low, high : int64 arrays, shape (rows,)
        Sum of the negative and of the positive weights, times `activation_max`.
    """
    weights = np.asarray(weights, np.int64)
    low = np.minimum(weights, 0).sum(axis=1) * activation_max
    high = np.maximum(weights, 0).sum(axis=1) * activation_max
    return low, high
