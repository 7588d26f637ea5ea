"""The golden model of a whole network: its layers, one after the other."""

import math
from dataclasses import dataclass

import numpy as np

from downshift.sw.graph.integer_graph import INPUT, IntegerGraph, Layer, Setting
from downshift.sw.graph.layer_golden import run_layer

__all__ = ["GoldenResult", "run"]

BATCH_BYTES = 1 << 26
"""Unfolded windows, and sums, of one batch stay below this."""


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
    bits, _ = graph.codes_of(INPUT, width)
    if x.size and x.max() >= 1 << bits:
        raise ValueError(f"Layer {graph.layers[0].name} takes {bits}-bit codes, not {x.max()}")
    codes = {INPUT: x}
    for layer in graph.layers:
        setting = layer.settings[width]
        residual = None if layer.residual is None else codes[layer.residual]
        codes[layer.name] = _run_batches(layer, setting, codes[graph.source_of(layer)], residual)
    logits = codes.pop(graph.layers[-1].name)
    del codes[INPUT]
    return GoldenResult(logits=logits.reshape(len(x), math.prod(logits.shape[1:])), codes=codes)


def _run_batches(
    layer: Layer, setting: Setting, x: np.ndarray, residual: np.ndarray | None
) -> np.ndarray:
    """Outputs of one layer, (n, height, width, channels), batch by batch."""
    height, width, channels = layer.conv_shape(x.shape[1:])
    image_bytes = height * width * max(layer.weight[0].size, channels) * 4
    batch = max(1, BATCH_BYTES // image_bytes)
    parts = [slice(i, i + batch) for i in range(0, max(len(x), 1), batch)]
    return np.concatenate([
        run_layer(layer, setting, x[part], None if residual is None else residual[part])
        for part in parts
    ])  # fmt: skip
