"""The golden model of one layer: the golden functions of the blocks, composed."""

import numpy as np

from downshift.hw.mac import exact_dtype, multiply_accumulate
from downshift.hw.max_pool import max_pool
from downshift.hw.precision_switch import precision_switch
from downshift.hw.requantize import requantize
from downshift.hw.residual_sum import add_residual
from downshift.hw.window import im2col
from downshift.sw.graph.layer import LOGIT_WIDTH, Layer, Setting

__all__ = ["accumulate", "batches", "finish_layer", "run_layer"]

BATCH_BYTES = 1 << 22
"""Unfolded windows, and sums, of one batch stay below this, for the sake of caches."""


def batches(layer: Layer, n: int, shape: tuple[int, int, int]) -> list[slice]:
    """Split `n` images into those that a layer best takes at once; one is empty if all are.

    Parameters
    ----------
    layer : Layer
    n : int
    shape : (height, width, channels)
        Of what enters.
    """
    height, width, channels = layer.conv_shape(shape)
    image_bytes = height * width * max(layer.weight[0].size, channels) * 4
    size = max(1, BATCH_BYTES // image_bytes)
    return [slice(first, first + size) for first in range(0, max(n, 1), size)]


def run_layer(layer: Layer, setting: Setting, x, residual=None) -> np.ndarray:
    """Run one layer exactly as the accelerator does.

    Parameters
    ----------
    layer : Layer
    setting : Setting
        Of `layer`.
    x : uint8 array, shape (n, height, width, channels)
        Codes that enter.
    residual : uint8 array, shape of the output, optional
        Codes of the map that `layer` adds.

    Returns
    -------
    uint8 array of codes or int32 array of logits, shape (n, height, width, channels)

    Raises
    ------
    OverflowError
        If a sum could leave int32.
    """
    acc = accumulate(
        layer,
        x,
        weight_width=setting.weight_width,
        zero_point=setting.zero_point_in,
        centred=setting.centred,
    )
    return finish_layer(layer, setting, acc, residual)


def finish_layer(layer: Layer, setting: Setting, acc, residual=None) -> np.ndarray:
    """Do with the sums of a layer what `run_layer` does.

    Parameters
    ----------
    layer : Layer
    setting : Setting
        Of `layer`.
    acc : int32 array
        Of `accumulate`.
    residual : uint8 array, shape of `acc`, optional

    Returns
    -------
    uint8 array of codes or int32 array of logits
    """
    if setting.out_width == LOGIT_WIDTH:
        return acc + setting.bias
    if residual is not None:
        acc = add_residual(
            acc, residual, multiplier=setting.residual_multiplier, shift=setting.residual_shift
        )
    codes = requantize(
        acc,
        bias=setting.bias,
        multiplier=setting.multiplier,
        shift=setting.shift,
        zero_point=setting.zero_point_out,
        width=setting.out_width,
        largest=setting.largest,
    )
    if layer.pool is None:
        return codes
    return max_pool(codes, size=layer.pool.size, stride=layer.pool.stride)


def accumulate(
    layer: Layer, x, *, weight_width: int, zero_point: int, centred: bool = False
) -> np.ndarray:
    """Sum the products of weights and codes, exactly.

    Parameters
    ----------
    layer : Layer
        Its settings are not used.
    x : uint8 array, shape (n, height, width, channels)
    weight_width : int
        Bits of the running weights, 1…8.
    zero_point : int
        Code of zero, which pads.
    centred : bool
        As of `Setting`.

    Returns
    -------
    int32 array, shape (n, *layer.conv_shape(x.shape[1:]))

    Raises
    ------
    OverflowError
        If a sum could leave int32.
    """
    weights = precision_switch(layer.weight, width=weight_width, centred=centred)
    rows = weights.transpose(0, 2, 3, 1).reshape(layer.out_channels, -1)
    if layer.average:
        return multiply_accumulate(rows, x.sum(axis=(1, 2), keepdims=True, dtype=np.int64))
    largest = max(int(x.max(initial=0)), zero_point)
    kind = exact_dtype(rows, activation_max=largest)
    if layer.groups == 1:
        x = x.astype(kind)  # before every code becomes several
    windows = im2col(
        x, kernel=layer.kernel, stride=layer.stride, padding=layer.padding, zero_point=zero_point
    )  # (n, y, x, ky, kx, channels)
    if layer.groups > 1:
        return _accumulate_depthwise(rows, windows)
    vectors = windows.reshape(*windows.shape[:3], rows.shape[1])
    return multiply_accumulate(rows, vectors, activation_max=largest)


def _accumulate_depthwise(rows: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Sums of each channel's own products, int32, from weights (channels, ky * kx)."""
    taps = rows.T.astype(np.int32)
    places = np.ndindex(windows.shape[3:5])
    # One place of the kernel after the other, so that windows are never unfolded.
    products = (windows[:, :, :, ky, kx] * tap for tap, (ky, kx) in zip(taps, places, strict=True))
    acc = next(products)
    for product in products:
        acc += product
    return acc
