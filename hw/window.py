"""The window: which activation codes meet the weights at each pixel of a convolution."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["im2col"]


def im2col(codes, *, kernel, stride, padding, zero_point):
    """Unfold the receptive field of every output pixel.

    Parameters
    ----------
    codes : uint8 array, shape (n, height, width, channels)
        Activation codes.
    kernel, stride : (int, int)
        Kernel and step, vertical and horizontal.
    padding : (int, int, int, int)
        Rows above and below, columns left and right, filled with `zero_point`.
    zero_point : int
        Code of zero.

    Returns
    -------
    uint8 array, shape (n, out_height, out_width, kernel_height, kernel_width, channels)
        A read-only view where no padding was needed.

    Examples
    --------
    >>> im2col(np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1), kernel=(2, 2), stride=(1, 1),
    ...        padding=(0, 0, 1, 0), zero_point=7).reshape(2, 4).tolist()
    [[7, 0, 7, 2], [0, 1, 2, 3]]
    """
    top, bottom, left, right = padding
    if any(padding):
        margins = ((0, 0), (top, bottom), (left, right), (0, 0))
        codes = np.pad(codes, margins, constant_values=zero_point)
    windows = sliding_window_view(codes, kernel, axis=(1, 2))  # (n, y, x, channels, ky, kx)
    return windows[:, :: stride[0], :: stride[1]].transpose(0, 1, 2, 4, 5, 3)
