"""Max pooling on activation codes."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["max_pool"]


def max_pool(codes, *, size, stride):
    """Take the largest code of each window.

    Parameters
    ----------
    codes : uint8 array, shape (n, height, width, channels)
        Activation codes.
    size, stride : (int, int)
        Window and step, vertical and horizontal. Windows that would leave the map are dropped.

    Returns
    -------
    uint8 array, shape (n, pooled_height, pooled_width, channels)

    Examples
    --------
    >>> max_pool(np.array([[1, 9], [3, 4]], np.uint8)[None, :, :, None], size=(2, 2),
    ...          stride=(2, 2)).ravel().tolist()
    [9]
    """
    windows = sliding_window_view(np.asarray(codes), size, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]].max(axis=(-2, -1))
