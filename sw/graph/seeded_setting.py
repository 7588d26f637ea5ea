"""Numbers of a layer without training: scales and biases that spread its codes over a batch."""

import numpy as np

from downshift.hw.residual_sum import add_residual
from downshift.sw.graph.fixed_point import fixed_point
from downshift.sw.graph.integer_graph import LOGIT_WIDTH, Layer, Setting
from downshift.sw.graph.layer_golden import accumulate

__all__ = ["seeded_setting"]

RELU_SPREADS = 3.0
"""Standard deviations of a sum from code 0 to the largest, where negative sums are cut off."""
SIGNED_SPREADS = 5.0
"""The same, where the zero point lies in mid range."""
MAX_FACTOR = 65535 / 65536
"""A scale below 1 has a shift of at least 16."""


def seeded_setting(
    rng: np.random.Generator,
    layer: Layer,
    x: np.ndarray,
    residual: np.ndarray | None,
    *,
    weight_width: int,
    in_width: int,
    out_width: int,
    zero_point_in: int,
    zero_point_out: int,
) -> Setting:
    """Choose a setting as a batch norm over a batch would, with a seeded offset of each channel.

    Parameters
    ----------
    rng : numpy.random.Generator
    layer : Layer
        Its settings are not used.
    x : uint8 array, shape (n, height, width, channels)
        Codes that enter.
    residual : uint8 array, shape of the output, or None
        Codes of the map that `layer` adds; it varies as much as the products do.
    weight_width, in_width, out_width : int
        Bits of weights, input and output codes; `LOGIT_WIDTH` for logits.
    zero_point_in, zero_point_out : int
        0 folds a relu in.

    Returns
    -------
    Setting
        Its biases are not 0, its scales are below 1.
    """
    acc = accumulate(layer, x, weight_width=weight_width, zero_point=zero_point_in)
    added = {}
    if residual is not None:
        shift = 8 - weight_width if weight_width > 2 else 2
        factor = _spread(acc) * (1 << shift) / max(residual.std(), 1)
        multiplier = np.clip(np.rint(factor), 1, 65535).astype(np.uint16)
        acc = add_residual(acc, residual, multiplier=multiplier, shift=shift)
        added = {"residual_multiplier": multiplier, "residual_shift": shift}

    spread = _spread(acc)
    offset = rng.uniform(-0.5, 0.5, layer.out_channels) * spread
    bias = np.rint(offset - acc.mean(axis=(0, 1, 2)))
    common = {
        "weight_width": weight_width,
        "in_width": in_width,
        "zero_point_in": zero_point_in,
        "bias": np.where(bias == 0, 1, bias).astype(np.int32),
        **added,
    }
    if out_width == LOGIT_WIDTH:
        return Setting(
            **common,
            out_width=LOGIT_WIDTH,
            zero_point_out=0,
            multiplier=np.zeros(layer.out_channels, np.uint16),
            shift=np.zeros(layer.out_channels, np.uint8),
        )
    spreads = SIGNED_SPREADS if zero_point_out else RELU_SPREADS
    factor = np.minimum(((1 << out_width) - 1) / (spreads * spread), MAX_FACTOR)
    multiplier, shift = fixed_point(factor)
    return Setting(
        **common,
        out_width=out_width,
        zero_point_out=zero_point_out,
        multiplier=multiplier,
        shift=shift,
    )


def _spread(acc: np.ndarray) -> np.ndarray:
    """Standard deviation of each channel, at least 1."""
    return np.maximum(acc.std(axis=(0, 1, 2)), 1)
