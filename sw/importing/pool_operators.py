"""Operators that pool: largest codes, means of windows, and means of whole maps."""

from dataclasses import replace

import numpy as np

from downshift.sw.graph.layer import Pool
from downshift.sw.importing.attributes import integer, integers
from downshift.sw.importing.axes import bare
from downshift.sw.importing.limit_operators import is_positive
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.product_operators import window
from downshift.sw.importing.real_layer import (
    IDENTITY_CODE,
    RealLayer,
    StoredWeights,
    identity_weights,
)
from downshift.sw.importing.translation import Translation
from downshift.sw.importing.values import MapValue, Refused, Value

__all__ = ["POOL_OPERATORS", "averaged", "mean_of"]


def max_pool(t: Translation, node: Node) -> tuple[Value, str]:
    """MaxPool."""
    value = t.pixels(node, integer=None)
    sizes = t.sizes(value)
    size = integers(node, "kernel_shape", (0, 0), 1)
    if integers(node, "dilations", (1, 1), 1) != (1, 1):
        raise Refused("pools with dilations are not supported; use 1")
    stride, pads = window(node, (sizes["h"], sizes["w"]), (size[0], size[1]))
    if integer(node, "ceil_mode", 0):
        pads = _to_ceiling((sizes["h"], sizes["w"]), size, stride, pads)
    if any(pads):
        if not is_positive(t, value):
            raise Refused("pads a pool of numbers below 0; put a Relu before it, or use no padding")
        value = _padded_identity(t, node, value, pads)
    given = value

    def still(layer: RealLayer) -> bool:
        return layer.pool is None and layer.residual is None and not layer.average

    opened, layer = t.open(node, value, still)
    if layer is not given.layer and given.layer is not None:
        layer.codes = given.layer.codes
    height, width, channels = layer.shape
    if height < size[0] or width < size[1]:
        raise Refused(f"a map of {height}×{width} is too small for a pool of {size}")
    layer.pool = Pool(size=(size[0], size[1]), stride=stride)
    layer.shape = (
        (height - size[0]) // stride[0] + 1,
        (width - size[1]) // stride[1] + 1,
        channels,
    )
    kept = replace(opened, integer=given.integer, params=given.params, offset=given.offset)
    return kept.turned(bare("nchw", t.sizes(kept))), f"into layer {layer.name}"


def _to_ceiling(
    lengths: tuple[int, int],
    size: tuple[int, ...],
    stride: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> tuple[int, int, int, int]:
    """Padding with which the last window is whole."""
    top, bottom, left, right = pads
    more = [
        -(length + first + last - taps) % step
        for length, first, last, taps, step in zip(
            lengths, (top, left), (bottom, right), size, stride, strict=True
        )
    ]
    return top, bottom + more[0], left, right + more[1]


def _padded_identity(
    t: Translation, node: Node, value: MapValue, pads: tuple[int, int, int, int]
) -> MapValue:
    """A layer that gives what it takes, with zeros around it."""
    sizes = t.sizes(value)
    (top, bottom, left, right), channels = pads, sizes["c"]
    codes = np.zeros((channels, 1, top + bottom + 1, left + right + 1), np.int8)
    codes[:, :, bottom, right] = IDENTITY_CODE
    if max(codes.shape) > 64 + channels:
        raise Refused(f"padding of {pads} is too much")
    layer = RealLayer(
        name=f"{node.name}.pad",
        weight=codes / IDENTITY_CODE,
        bias=np.zeros(channels),
        source=t.name_of(value),
        shape=(sizes["h"] + top + bottom, sizes["w"] + left + right, channels),
        padding=(top + bottom, top + bottom, left + right, left + right),
        groups=channels,
        low=0.0,
        stored=StoredWeights(codes=codes, scale=np.full(channels, 1 / IDENTITY_CODE)),
        codes=None if value.layer is None else value.layer.codes,
    )
    added = t.add_layer(layer)
    if value.layer is not None and value.layer.codes is None and value.exclusive:
        # Codes that the file gives the pool are as good before it.
        value.layer.completed_by = layer
    return replace(added, integer=value.integer, params=value.params, offset=value.offset)


def average_pool(t: Translation, node: Node) -> tuple[Value, str]:
    """AveragePool."""
    return averaged(t, node, t.pixels(node))


def averaged(t: Translation, node: Node, value: MapValue) -> tuple[MapValue, str]:
    """Means of windows: the mean of a map, or a depthwise convolution."""
    sizes = t.sizes(value)
    size = integers(node, "kernel_shape", (0, 0), 1)
    stride, pads = window(node, (sizes["h"], sizes["w"]), (size[0], size[1]))
    if integers(node, "dilations", (1, 1), 1) != (1, 1):
        raise Refused("pools with dilations are not supported; use 1")
    if any(pads) and not integer(node, "count_include_pad", 0):
        raise Refused("padding that is not counted is not supported; set count_include_pad")
    if integer(node, "ceil_mode", 0) and any(
        _to_ceiling((sizes["h"], sizes["w"]), size, stride, (0, 0, 0, 0))
    ):
        raise Refused("windows that are not whole are not supported; leave ceil_mode 0")
    if size == (sizes["h"], sizes["w"]) and not any(pads) and not any(value.padding):
        return mean_of(value)
    if pads[0] >= size[0] or pads[2] >= size[1] or any(value.padding):
        raise Refused(f"padding {pads} is not less than the window {size}; use less")
    channels = sizes["c"]
    weight, stored = identity_weights(channels, window=(size[0], size[1]))
    layer = RealLayer(
        name=node.name,
        weight=weight,
        bias=np.zeros(channels),
        source=t.name_of(value),
        shape=(
            (sizes["h"] + pads[0] + pads[1] - size[0]) // stride[0] + 1,
            (sizes["w"] + pads[2] + pads[3] - size[1]) // stride[1] + 1,
            channels,
        ),
        stride=stride,
        padding=pads,
        groups=channels,
        stored=stored,
    )
    return t.add_layer(layer), f"layer {layer.name}, depthwise"


def global_average_pool(t: Translation, node: Node) -> tuple[Value, str]:
    """GlobalAveragePool."""
    return mean_of(t.pixels(node))


def reduce_sum(t: Translation, node: Node) -> tuple[Value, str]:
    """ReduceSum over rows and columns: the mean of so many pixels."""
    sizes = t.sizes(t.map(node))
    value, detail = reduce_mean(t, node)
    assert isinstance(value, MapValue)
    return replace(value, factor=np.array([float(sizes["h"] * sizes["w"])])), detail


def reduce_mean(t: Translation, node: Node) -> tuple[Value, str]:
    """ReduceMean over rows and columns."""
    value = t.map(node)
    rank = len(value.axes)
    if len(node.inputs) > 1 and node.inputs[1]:
        given = t.numbers(node, 1, "axes").reshape(-1).astype(int).tolist()
    else:
        given = list(integers(node, "axes", tuple(node.attributes.get("axes", ())), -rank))
    axes = {axis % rank for axis in given if -rank <= axis < rank}
    meant = {label for axis in axes for label in value.axes[axis]}
    rows_and_columns = {each for each in "hw" if t.sizes(value)[each] > 1}
    if not axes or meant != rows_and_columns or 0 in axes:
        raise Refused("a mean must run over rows and columns, all of them and nothing else")
    kept, _ = mean_of(value)
    if not integer(node, "keepdims", 1):
        left = tuple(axis for index, axis in enumerate(kept.axes) if index not in axes)
        kept = kept.turned(left)
    return kept, "into what takes it"


def mean_of(value: MapValue) -> tuple[MapValue, str]:
    """The mean of a whole map, for the layer that takes it."""
    if any(value.padding):
        raise Refused("only convolutions may follow a Pad")
    axes = tuple(tuple(each for each in axis if each not in "hw") for axis in value.axes)
    return replace(value, axes=axes, mean=True), "into what takes it"


POOL_OPERATORS = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "MaxPool": max_pool,
    "ReduceMean": reduce_mean,
    "ReduceSum": reduce_sum,
}
