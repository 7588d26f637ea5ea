"""The golden model of a whole network: the golden functions of the blocks, composed."""

import math
from dataclasses import dataclass

import numpy as np

from downshift.hw.mac import multiply_accumulate
from downshift.hw.max_pool import max_pool
from downshift.hw.precision_switch import precision_switch
from downshift.hw.requantize import requantize
from downshift.hw.window import im2col
from downshift.sw.integer_graph import IntegerGraph, Layer, Setting

__all__ = ["GoldenResult", "run"]

BATCH_BYTES = 1 << 26
"""Unfolded windows of one batch stay below this."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldenResult:
    """What a network computes, image by image."""

    codes: dict[str, np.ndarray]
    """uint8, (n, height, width, channels), by layer name; every layer but the last."""
    logits: np.ndarray
    """int32, (n, classes)."""

    @property
    def labels(self) -> np.ndarray:
        """Index of the largest logit, the first of equals; int64, (n,)."""
        return self.logits.argmax(axis=1)


def run(graph: IntegerGraph, x, width: int) -> GoldenResult:
    """Run a network exactly as the accelerator does.

    Parameters
    ----------
    graph : IntegerGraph
    x : uint8 array, shape (n, height, width, channels)
        Input codes.
    width : int
        One of ``graph.widths``.

    Returns
    -------
    GoldenResult

    Raises
    ------
    DownshiftError
        If the network does not run at `width`.
    ValueError
        If `x` has the wrong shape or dtype, or a code beyond the input's width.
    """
    graph.check_width(width)
    x = np.asarray(x)
    if x.dtype != np.uint8 or x.shape[1:] != graph.input_shape:
        raise ValueError(
            f"Input must be uint8 of shape (n, {', '.join(map(str, graph.input_shape))}), "
            f"not {x.dtype} of shape {x.shape}"
        )
    codes: dict[str, np.ndarray] = {}
    for layer in graph.layers:
        setting = layer.settings[width]
        if x.size and x.max() >= 1 << setting.in_width:
            raise ValueError(
                f"Layer {layer.name} takes {setting.in_width}-bit codes, not {x.max()}"
            )
        x = codes[layer.name] = _run_layer(layer, setting, x)
    logits = codes.pop(graph.layers[-1].name)
    return GoldenResult(logits=logits.reshape(len(x), math.prod(logits.shape[1:])), codes=codes)


def _run_layer(layer: Layer, setting: Setting, x: np.ndarray) -> np.ndarray:
    """Outputs of one layer, (n, height, width, channels), batch by batch."""
    height, width, _ = layer.conv_shape(x.shape[1:])
    batch = max(1, BATCH_BYTES // (height * width * layer.weight[0].size * 4))
    parts = [_run_batch(layer, setting, x[i : i + batch]) for i in range(0, max(len(x), 1), batch)]
    return np.concatenate(parts)


def _run_batch(layer: Layer, setting: Setting, x: np.ndarray) -> np.ndarray:
    weights = precision_switch(layer.weight, width=setting.weight_width)
    windows = im2col(
        x,
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        zero_point=setting.zero_point_in,
    )  # (n, y, x, ky, kx, channels)
    rows = weights.transpose(0, 2, 3, 1).reshape(layer.out_channels, -1)
    acc = multiply_accumulate(rows, windows.reshape(*windows.shape[:3], rows.shape[1]))
    if setting.out_width == 32:
        return acc + setting.bias
    codes = requantize(
        acc,
        bias=setting.bias,
        multiplier=setting.multiplier,
        shift=setting.shift,
        zero_point=setting.zero_point_out,
        width=setting.out_width,
    )
    return (
        codes
        if layer.pool is None
        else max_pool(codes, size=layer.pool.size, stride=layer.pool.stride)
    )
