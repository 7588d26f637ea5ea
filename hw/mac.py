"""The MAC array contract: what every style of array computes, and the ports it does it through."""

import numpy as np
from amaranth import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from downshift.hw.counters import CycleUse

__all__ = [
    "VectorTags",
    "accumulator_bounds",
    "array_signature",
    "codes_per_byte",
    "dot_layout",
    "dot_width",
    "exact_dtype",
    "multiply_accumulate",
    "vector_layout",
]


def multiply_accumulate(weights, activations, *, activation_max=None):
    """Multiply and accumulate, exactly.

    Parameters
    ----------
    weights : int8 array, shape (rows, depth)
        Signed weights.
    activations : array of whole numbers, shape (..., depth)
        Unsigned activation codes, or sums of them.
    activation_max : int, optional
        None of them is larger; by default, their largest.

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
    weights, activations = np.asarray(weights), np.asarray(activations)
    if activation_max is None:
        activation_max = int(activations.max(initial=0))
    kind = exact_dtype(weights, activation_max=activation_max)
    # One product of two matrices, not one for each index before the last two.
    vectors = activations.astype(kind, copy=False).reshape(-1, weights.shape[1])
    sums = vectors @ weights.T.astype(kind)
    return sums.astype(np.int32).reshape(*activations.shape[:-1], len(weights))


def exact_dtype(weights, *, activation_max):
    """Choose the float that holds every partial sum of a row exactly, in any order of summation.

    Raises
    ------
    OverflowError
        If a sum could leave int32.

    Examples
    --------
    >>> exact_dtype(np.int8([[1, -2]]), activation_max=255)
    <class 'numpy.float32'>
    """
    low, high = accumulator_bounds(weights, activation_max=activation_max)
    largest = int(max(-low.min(initial=0), high.max(initial=0)))
    if largest >= 1 << 31:
        raise OverflowError(f"Sums may reach {largest}, beyond int32")
    # Any subset of the products stays within the sum of one sign.
    return np.float32 if largest < 1 << 24 else np.float64


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


def codes_per_byte(width):
    """Activation codes of `width` bits that share a byte: 1 above 4 bits, 2 above 2, else 4.

    Examples
    --------
    >>> [codes_per_byte(width) for width in (8, 6, 4, 3, 2)]
    [1, 1, 2, 2, 4]
    """
    if not 2 <= width <= 8:
        raise ValueError(f"Activation width must be in 2..8, not {width!r}")
    return 1 if width > 4 else 2 if width > 2 else 4


def dot_width(lanes):
    """Bits of the signed dot product of `lanes` bytes of activations with 8-bit weights."""
    return 16 + ceil_log2(lanes)


class VectorTags(data.Struct):
    """Where a vector stands in the loops around the array."""

    first: 1
    """First tile of the depth: its results start a sum."""
    last: 1
    """Last tile of the depth: its results complete a sum."""
    end: 1
    """Last vector of its tile of weights."""
    over: 1
    """Last vector of a pass, where anybody asks."""


def vector_layout(lanes):
    """Layout of one activation vector: `lanes` bytes and their tags."""
    return data.StructLayout({"lanes": data.ArrayLayout(8, lanes), "tags": VectorTags})


def dot_layout(rows, width):
    """Layout of one result per row, signed, of `width` bits, and the tags of its vector."""
    return data.StructLayout({"sums": data.ArrayLayout(signed(width), rows), "tags": VectorTags})


def array_signature(*, rows, lanes):
    """Ports of a MAC array; styles are interchangeable behind them.

    Parameters
    ----------
    rows : int
        Output channels.
    lanes : int
        Activation bytes consumed at once.

    Returns
    -------
    wiring.Signature
        With the members

        weight_width : ``In(4)``
            `switch_code` of the weights.
        pack : ``In(2)``
            log2 of the activation codes in a byte, 0…2.
        i_weights : ``In(stream.Signature(ArrayLayout(signed(8), rows)))``
            Tiles, word by word: weight of code 0 of byte 0 for every row, code 1, …
        i_acts : ``In(stream.Signature(vector_layout(lanes)))``
            Vectors; each tile of weights serves those up to the next that is tagged `end`.
        o : ``Out(stream.Signature(dot_layout(rows, dot_width(lanes))))``
            One dot product per row and vector, in order.
        use : ``Out(CycleUse)``
            What the cycle goes to.
    """
    return wiring.Signature(
        {
            "weight_width": In(4),
            "pack": In(2),
            "i_weights": In(stream.Signature(data.ArrayLayout(signed(8), rows))),
            "i_acts": In(stream.Signature(vector_layout(lanes))),
            "o": Out(stream.Signature(dot_layout(rows, dot_width(lanes)))),
            "use": Out(CycleUse),
        }
    )
