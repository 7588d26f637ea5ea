"""Weights of real layers as int8, once for all widths."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from downshift.sw.graph.integer_setting import Codes
from downshift.sw.graph.layer import INPUT
from downshift.sw.importing.real_layer import RealLayer, RealNetwork, StoredWeights

__all__ = ["reaches_of", "stored_layer", "stored_weights", "top_codes"]

WIDTH = 8
MOST_SUM = 2.0**24
"""Sums of codes that a layer may need: its bias and what it gives, in units of its products."""
MOST_COUNT = 65535 / 32
"""What a code of a residual may count at 8 bits: at lower widths it counts up to 20 times more."""


def reaches_of(
    network: RealNetwork, entering: Codes, sums: Mapping[str, np.ndarray] | None
) -> dict[str, float]:
    """Largest magnitude of each map: what its codes hold, else what was seen.

    Parameters
    ----------
    network : RealNetwork
    entering : Codes
        Of the input.
    sums : mapping of str to float array, or None
        Of `run_network`.
    """
    reach = {INPUT: _held(entering)}
    for layer in network.layers:
        if (given := layer.given_codes) is not None:
            reach[layer.name] = _held(given)
        elif sums is not None:
            values = sums[layer.name]
            ends = np.clip([values.min(), values.max()], layer.low, layer.high)
            reach[layer.name] = max(float(np.abs(ends).max()), 1e-30)
    return reach


def _held(codes: Codes) -> float:
    """Largest magnitude that codes hold."""
    return codes.scale * max(codes.zero_point, (1 << codes.width) - 1 - codes.zero_point)


def stored_layer(layer: RealLayer, last: bool, reach: Mapping[str, float]) -> RealLayer:
    """The layer with weights as integers.

    Weights that the file has as integers are kept; but those of logits get one scale, and those of
    channels with next to no weights one with which their biases, and what is added to them, stay in
    the range of sums.

    Parameters
    ----------
    layer : RealLayer
    last : bool
        Whether it gives logits.
    reach : mapping of str to float
        Of `reaches_of`; of the logits it may be missing.
    """
    stored = layer.stored
    if stored is None:
        limit = (1 << (WIDTH - 1)) - 1
        largest = np.abs(layer.weight).max(axis=(1, 2, 3))
        scale = np.where(largest > 0, largest, largest.max(initial=0) or 1.0) / limit
    else:
        scale = stored.scale
    scale = np.maximum(scale, _least_scale(layer, reach))
    if last:
        scale = np.full(len(scale), scale.max())
    if stored is None:
        codes = np.rint(layer.weight / scale[:, None, None, None])
        stored = StoredWeights(codes=codes.astype(np.int8), scale=scale, width=WIDTH)
    elif (scale != stored.scale).any():
        codes = np.rint(stored.codes * (stored.scale / scale)[:, None, None, None])
        stored = StoredWeights(codes=codes.astype(np.int8), scale=scale, width=stored.width)
    return replace(layer, stored=stored)


def _least_scale(layer: RealLayer, reach: Mapping[str, float]) -> np.ndarray:
    """Least scale of each channel's weights with which its sums can be held."""
    if layer.thresholds is not None:
        return np.zeros(len(layer.bias))
    entering = max(reach[layer.source], 1e-30) / 255
    wanted = np.abs(layer.bias) + reach.get(layer.name, 0.0)
    least = wanted / MOST_SUM / entering
    if layer.residual is not None:
        least = np.maximum(
            least, reach[layer.residual] / 255 * layer.residual_gains / MOST_COUNT / entering
        )
    return least


def top_codes(stored: StoredWeights) -> np.ndarray:
    """Codes at the top of a byte, where the precision switch looks for those of fewer bits."""
    if stored.width == 1:
        return np.where(stored.codes > 0, 127, -128).astype(np.int8)
    return (stored.codes.astype(np.int16) << (WIDTH - stored.width)).astype(np.int8)


def stored_weights(codes: np.ndarray, scale: np.ndarray, width: int) -> StoredWeights | None:
    """Weights as integers, if they are int8 and have a scale for each channel.

    Parameters
    ----------
    codes : int64 array, shape (out_channels, in_channels, height, width)
    scale : float64 array, of four dimensions
    width : int
    """
    channels = len(codes)
    if codes.min(initial=0) < -128 or codes.max(initial=0) > 127:
        return None
    if scale.size not in (1, channels) or math.prod(scale.shape[1:]) != 1:
        return None
    if width > 1:
        # Files keep codes of fewer bits in larger types.
        width = max(int(codes.max(initial=0)).bit_length(), int(~codes.min(initial=0)).bit_length())
        width = max(width + 1, 2)
    spread = np.broadcast_to(scale.reshape(-1), channels).astype(np.float64)
    return StoredWeights(codes=codes.astype(np.int8), scale=spread, width=width)
