"""The golden model of a whole network: its layers, one after the other."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from downshift.sw.graph.integer_graph import INPUT, IntegerGraph, Layer, Setting
from downshift.sw.graph.layer_golden import batches, run_layer

__all__ = ["GoldenResult", "run"]

BLOCK = 128
"""Images that run through all layers together."""
LEAST = 8
"""Images for which a thread is worth its while."""


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


def run(graph: IntegerGraph, x, width: int, *, keep_codes: bool = True) -> GoldenResult:
    """Run a network exactly as the accelerator does.

    Parameters
    ----------
    graph : IntegerGraph
    x : uint8 array, shape (n, height, width, channels)
        Input codes.
    width : int
        One of ``graph.widths``.
    keep_codes : bool
        Keep the maps of all layers; else the result has logits only, and takes little memory.

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
    last = graph.layers[-1].name
    kept = {layer.name for layer in graph.layers} if keep_codes else {last}
    run_block = partial(_run_block, graph, width, kept)
    workers = os.cpu_count() or 1
    block = max(min(BLOCK, -(-len(x) // workers)), LEAST)
    blocks = [x[first : first + block] for first in range(0, max(len(x), 1), block)]
    if len(blocks) == 1:
        parts = [run_block(x)]
    else:
        # NumPy computes outside Python's lock; threads of BLAS's own would be in the way.
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(run_block, blocks))
    maps = {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}
    logits = maps.pop(last)
    return GoldenResult(logits=logits.reshape(len(x), math.prod(logits.shape[1:])), codes=maps)


def _run_block(
    graph: IntegerGraph, width: int, kept: set[str], x: np.ndarray
) -> dict[str, np.ndarray]:
    """Maps of the layers whose names are given, for some images."""
    maps = {INPUT: x}
    for layer in graph.layers:
        residual = None if layer.residual is None else maps[layer.residual]
        source = maps[graph.source_of(layer)]
        maps[layer.name] = _run_batches(layer, layer.settings[width], source, residual)
    return {name: array for name, array in maps.items() if name in kept}


def _run_batches(
    layer: Layer, setting: Setting, x: np.ndarray, residual: np.ndarray | None
) -> np.ndarray:
    """Outputs of one layer, (n, height, width, channels), batch by batch."""
    return np.concatenate([
        run_layer(layer, setting, x[part], None if residual is None else residual[part])
        for part in batches(layer, len(x), x.shape[1:])
    ])  # fmt: skip
