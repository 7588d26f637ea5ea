"""Bounds of a layer's sums, whatever comes in."""

import numpy as np

from downshift.hw.mac import accumulator_bounds
from downshift.sw.graph.integer_graph import IntegerGraph, Layer

__all__ = ["sum_bounds"]


def sum_bounds(graph: IntegerGraph, layer: Layer, width: int) -> tuple[int, int]:
    """Bound the sums of a layer with and without bias and residual, at a width of the network.

    Parameters
    ----------
    graph : IntegerGraph
    layer : Layer
        Of `graph`.
    width : int

    Returns
    -------
    (int, int)
        Least and largest.
    """
    setting = layer.settings[width]
    height, columns, _ = graph.shape_of(graph.source_of(layer))
    codes = (1 << setting.in_width) - 1
    running = setting.running(layer.weight)
    low, high = accumulator_bounds(
        running.reshape(layer.out_channels, -1),
        activation_max=codes * (height * columns if layer.average else 1),
    )
    shift, bias = setting.residual_shift, setting.bias.astype(np.int64)
    low, high = (sums.astype(np.int64) << shift for sums in (low, high))
    if layer.residual is not None and setting.residual_multiplier is not None:
        added, _ = graph.codes_of(layer.residual, width)
        high = high + setting.residual_multiplier.astype(np.int64) * ((1 << added) - 1)
    ends = (low.min(), (low + bias).min()), (high.max(), (high + bias).max())
    return int(min(ends[0])), int(max(ends[1]))
