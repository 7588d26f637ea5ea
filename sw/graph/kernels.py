"""Kernels of other kinds of convolutions, written as plain ones."""

import numpy as np

__all__ = ["dilated", "ungrouped"]


def ungrouped(weight: np.ndarray, groups: int) -> np.ndarray:
    """Weights of all channels, zero for those of other groups.

    Parameters
    ----------
    weight : array, shape (out_channels, in_channels // groups, height, width)
    groups : int

    Returns
    -------
    array, shape (out_channels, in_channels, height, width)

    Examples
    --------
    >>> ungrouped(np.int8([5, 7]).reshape(2, 1, 1, 1), 2)[:, :, 0, 0].tolist()
    [[5, 0], [0, 7]]
    """
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    whole = np.zeros((weight.shape[0], groups * inputs, *weight.shape[2:]), weight.dtype)
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        whole[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return whole


def dilated(weight: np.ndarray, dilations: tuple[int, int]) -> np.ndarray:
    """A kernel with zeros between its places.

    Parameters
    ----------
    weight : array, shape (out_channels, in_channels, height, width)
    dilations : (int, int)
        Steps between places, vertical and horizontal; 1 leaves a kernel as it is.

    Examples
    --------
    >>> dilated(np.int8([5, 7]).reshape(1, 1, 1, 2), (1, 2))[0, 0].tolist()
    [[5, 0, 7]]
    """
    (down, right), (height, width) = dilations, weight.shape[2:]
    shape = (*weight.shape[:2], (height - 1) * down + 1, (width - 1) * right + 1)
    whole = np.zeros(shape, weight.dtype)
    whole[:, :, ::down, ::right] = weight
    return whole
