"""Operators on whole maps: limits, pools, means, shapes, and what ends a network."""

from dataclasses import replace

import numpy as np

from downshift.sw.graph.integer_setting import Codes
from downshift.sw.graph.layer import Pool
from downshift.sw.importing.attributes import integer, integers, number
from downshift.sw.importing.axes import Axes, bare, is_layout, reshaped, transposed
from downshift.sw.importing.linear_operators import window
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.real_layer import (
    IDENTITY_CODE,
    RealLayer,
    StoredWeights,
    identity_weights,
)
from downshift.sw.importing.translation import OTHER_ORDER, Translation
from downshift.sw.importing.values import ConstantValue, EndValue, MapValue, Refused, Value

__all__ = ["MAP_OPERATORS"]


def relu(t: Translation, node: Node) -> tuple[Value, str]:
    """Relu."""
    return _limited(t, node, t.map(node), 0.0, np.inf)


def clip(t: Translation, node: Node) -> tuple[Value, str]:
    """Clip, with limits as attributes or constants; of codes it leaves out some of them."""
    ends = []
    for index, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), 1):
        given = node.attributes.get(name, default)
        if index < len(node.inputs) and node.inputs[index]:
            array = t.numbers(node, index, "a limit")
            if array.size != 1:
                raise Refused("a limit must be one number")
            given = array.reshape(-1)[0]
        if not isinstance(given, int | float) or np.isnan(given):
            raise Refused(f"a limit must be a number, not {given!r:.60}")
        ends.append(float(given))
    low, high = ends
    if not low < high:
        raise Refused(f"limits must be in order, not {low:g} and {high:g}")
    value = t.map(node, integer=None)
    if value.integer:
        return _narrowed(value, low, high)
    return _limited(t, node, value, low, high)


def _limited(
    t: Translation, node: Node, value: MapValue, low: float, high: float
) -> tuple[Value, str]:
    """A map within limits."""
    if low <= 0 and high == np.inf and _is_positive(value):
        return value, "nothing: there is nothing below 0"
    opened, layer = t.open(node, value, lambda each: each.codes is None)
    layer.low, layer.high = max(layer.low, low), min(layer.high, high)
    if not layer.low < layer.high:
        raise Refused("its limits leave nothing of a map that has others already")
    return opened, f"into the limits of layer {layer.name}"


def _is_positive(value: MapValue) -> bool:
    if value.params is not None:
        return value.params.zero_point == 0
    return value.layer is not None and value.layer.low >= 0


def _narrowed(value: MapValue, low: float, high: float) -> tuple[Value, str]:
    """Codes of which only some are used: as Brevitas writes quantizers of few bits."""
    params, layer = value.params, value.layer
    if params is None or layer is None or layer.codes != params or not value.exclusive:
        raise Refused("limits codes that something else takes too")
    first = max(int(np.ceil(low + value.offset)), 0) if low > -np.inf else 0
    last = (1 << params.width) - 1
    last = min(int(np.floor(high + value.offset)), last) if high < np.inf else last
    width = max(last - first, 1).bit_length()
    if not first <= params.zero_point <= last:
        raise Refused("limits codes to a range without the code of zero")
    layer.codes = Codes(scale=params.scale, width=width, zero_point=params.zero_point - first)
    return value, f"into layer {layer.name}, {width}-bit codes"


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
        if not _is_positive(value):
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
    return replace(added, integer=value.integer, params=value.params, offset=value.offset)


def average_pool(t: Translation, node: Node) -> tuple[Value, str]:
    """AveragePool: the mean of a map, or a depthwise convolution."""
    value = t.pixels(node)
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
        return _mean(value)
    if pads[0] >= size[0] or pads[2] >= size[1] or any(value.padding):
        raise Refused(f"padding {pads} is not less than the window {size}; use less")
    channels, count = sizes["c"], size[0] * size[1]
    codes = np.full((channels, 1, *size), IDENTITY_CODE, np.int8)
    layer = RealLayer(
        name=node.name,
        weight=codes / (IDENTITY_CODE * count),
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
        stored=StoredWeights(codes=codes, scale=np.full(channels, 1 / (IDENTITY_CODE * count))),
    )
    return t.add_layer(layer), f"layer {layer.name}, depthwise"


def global_average_pool(t: Translation, node: Node) -> tuple[Value, str]:
    """GlobalAveragePool."""
    return _mean(t.pixels(node))


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
    kept, _ = _mean(value)
    if not integer(node, "keepdims", 1):
        left = tuple(axis for index, axis in enumerate(kept.axes) if index not in axes)
        kept = kept.turned(left)
    return kept, "into what takes it"


def _mean(value: MapValue) -> tuple[MapValue, str]:
    if any(value.padding):
        raise Refused("only convolutions may follow a Pad")
    axes = tuple(tuple(each for each in axis if each not in "hw") for axis in value.axes)
    return replace(value, axes=axes, mean=True), "into what takes it"


def transpose(t: Translation, node: Node) -> tuple[Value, str]:
    """Transpose: another order of axes, which maps do not have."""
    value = t.map(node, integer=None)
    rank = len(value.axes)
    order = integers(node, "perm", tuple(reversed(range(rank))))
    axes = transposed(value.axes, order)
    if axes is None:
        raise Refused(f"an order {order} of {rank} axes is none, or moves the batch")
    return _turned(value, axes)


def reshape(t: Translation, node: Node) -> tuple[Value, str]:
    """Reshape."""
    if "shape" in node.attributes:
        given = node.attributes["shape"]
    else:
        given = t.numbers(node, 1, "a shape").reshape(-1).astype(np.int64).tolist()
    value = t.map(node, integer=None)
    if not isinstance(given, list | tuple) or len(given) > 8:
        raise Refused(f"a shape must be up to eight integers, not {given!r:.60}")
    return _reshaped(t, value, [int(each) for each in given])


def flatten(t: Translation, node: Node) -> tuple[Value, str]:
    """Flatten."""
    value = t.map(node, integer=None)
    axis = integer(node, "axis", 1)
    if axis != 1 and axis != 1 - len(value.axes):
        raise Refused(f"flattens from axis {axis}; 1, after the batch, works")
    return _reshaped(t, value, [1, -1])


def squeeze(t: Translation, node: Node) -> tuple[Value, str]:
    """Squeeze: axes of size 1 left out."""
    value = t.map(node, integer=None)
    rank = len(value.axes)
    given = _axes(t, node, tuple(range(1, rank)))
    dropped = {axis % rank for axis in given if -rank <= axis < rank}
    if given == tuple(range(1, rank)):
        dropped = {axis for axis in dropped if not value.axes[axis]}
    if 0 in dropped or any(value.axes[axis] for axis in dropped):
        raise Refused(f"axes {given} are not all of size 1")
    left = tuple(axis for index, axis in enumerate(value.axes) if index not in dropped)
    return _turned(value, left)


def unsqueeze(t: Translation, node: Node) -> tuple[Value, str]:
    """Unsqueeze: axes of size 1 put in."""
    value = t.map(node, integer=None)
    given = _axes(t, node, ())
    rank = len(value.axes) + len(given)
    places = {axis % rank for axis in given if -rank <= axis < rank}
    if len(places) != len(given) or 0 in places or rank > 8:
        raise Refused(f"axes {given} cannot be put in")
    left = list(value.axes)
    return _turned(value, tuple(() if i in places else left.pop(0) for i in range(rank)))


def _axes(t: Translation, node: Node, default: tuple[int, ...]) -> tuple[int, ...]:
    """Axes that a node names, as an attribute or a constant."""
    if len(node.inputs) > 1 and node.inputs[1]:
        return tuple(t.numbers(node, 1, "axes").reshape(-1).astype(int).tolist())
    given = node.attributes.get("axes")
    if given is None:
        return default
    if not isinstance(given, list | tuple) or len(given) > 8:
        raise Refused(f"axes must be up to eight integers, not {given!r:.60}")
    return integers(node, "axes", tuple(given), -8)


def _reshaped(t: Translation, value: MapValue, shape: list[int]) -> tuple[Value, str]:
    axes = reshaped(value.axes, shape, t.sizes(value))
    if axes is None:
        raise Refused(f"a shape {shape} tears the axes of a map apart")
    return _turned(value, axes)


def _turned(value: MapValue, axes: Axes) -> tuple[Value, str]:
    if any(value.padding):
        raise Refused("only convolutions may follow a Pad")
    return value.turned(axes), "nothing: a layout"


def shape(t: Translation, node: Node) -> tuple[Value, str]:
    """Shape of a map: of one image."""
    value = t.map(node, integer=None)
    sizes = {**t.sizes(value), "n": 1}
    shapes = [int(np.prod([sizes[each] for each in axis])) for axis in value.axes]
    return ConstantValue(array=np.array(shapes, np.int64)), "a constant"


def pad(t: Translation, node: Node) -> tuple[Value, str]:
    """Pad with zeros, for the convolution that follows."""
    value = t.map(node, integer=None)
    rank = len(value.axes)
    if node.attributes.get("mode", "constant") != "constant":
        raise Refused(f"pads by {node.attributes['mode']!r:.30}; constant zeros work")
    if len(node.inputs) > 1:
        given = t.numbers(node, 1, "padding").reshape(-1).astype(int).tolist()
    else:
        given = list(integers(node, "pads", (0,) * (2 * rank)))
    filled = number(node, "value", 0.0)
    if len(node.inputs) > 2 and node.inputs[2]:
        array = t.numbers(node, 2, "what is padded with").reshape(-1)
        filled = array[0] if array.size == 1 else np.nan
    zero = 0.0
    if value.integer and value.params is not None:
        zero = value.params.zero_point - value.offset
    if filled != zero:
        raise Refused(f"pads with {filled:g}; zero works")
    if len(given) != 2 * rank or (len(node.inputs) > 3 and node.inputs[3]):
        raise Refused("padding must be given for every axis")
    if not all(0 <= each <= 256 for each in given):
        raise Refused(f"padding must be in 0..256, not {given}")
    around = {"h": (0, 0), "w": (0, 0)}
    for index, axis in enumerate(value.axes):
        both = (given[index], given[rank + index])
        if any(both):
            if axis not in (("h",), ("w",)):
                raise Refused("pads something else than rows and columns")
            around[axis[0]] = both
    if not is_layout(value.axes, "nchw", t.sizes(value)) and not is_layout(
        value.axes, "nhwc", t.sizes(value)
    ):
        raise Refused(OTHER_ORDER)
    more = np.add(value.padding, (*around["h"], *around["w"])).tolist()
    return replace(value, padding=tuple(more)), "into the convolution that takes it"


def concat(t: Translation, node: Node) -> tuple[Value, str]:
    """Concat of channels: each part is put into its place by a layer that adds the ones before."""
    values = [t.map(node, index) for index in range(len(node.inputs))]
    sizes = [t.sizes(value) for value in values]
    axis = integer(node, "axis", 1)
    rank = len(values[0].axes)
    if not -rank <= axis < rank or any(value.axes != values[0].axes for value in values):
        raise Refused("takes maps of other axes than each other")
    axis %= rank
    if any(value.mean or any(value.padding) for value in values):
        raise Refused("cannot take means or padded maps")
    flat = {each for index, part in enumerate(values[0].axes) for each in part if index != axis}
    if values[0].axes[axis] != ("c",) or any(
        (each["h"], each["w"]) != (sizes[0]["h"], sizes[0]["w"]) for each in sizes
    ):
        raise Refused(f"joins axis {axis} of maps {sorted(flat)}; channels of equal maps work")
    channels = sum(each["c"] for each in sizes)
    if channels > 4096:
        raise Refused(f"{channels} channels are too many")
    first, layer = 0, None
    for index, (value, each) in enumerate(zip(values, sizes, strict=True)):
        weight, stored = identity_weights(each["c"], dense=True, first=first, of=channels)
        before = layer
        layer = RealLayer(
            name=node.name if index == len(values) - 1 else f"{node.name}.{index}",
            weight=weight,
            bias=np.zeros(channels),
            source=t.name_of(value),
            shape=(each["h"], each["w"], channels),
            residual=None if before is None else before.name,
            stored=stored,
        )
        given = t.add_layer(layer, values[0])
        if before is not None:
            before.like = layer
        first += each["c"]
    return given, f"layer {layer.name}, and one for each part before the last"


def same(t: Translation, node: Node) -> tuple[Value, str]:
    """Identity, Dropout, Cast: nothing at inference."""
    value = t.value(node, 0)
    if isinstance(value, EndValue):
        return value, "its output stays logits"
    return t.map(node, integer=None), "nothing"


def end(t: Translation, node: Node) -> tuple[Value, str]:
    """Softmax, ArgMax: what logits are turned into; the largest stays the largest."""
    value = t.value(node, 0)
    if isinstance(value, EndValue):
        return value, "its output stays logits"
    return EndValue(value=t.map(node)), "nothing: the network gives its logits"


MAP_OPERATORS = {
    "ArgMax": end,
    "AveragePool": average_pool,
    "Cast": same,
    "Clip": clip,
    "Concat": concat,
    "Dropout": same,
    "Flatten": flatten,
    "GlobalAveragePool": global_average_pool,
    "Identity": same,
    "LogSoftmax": end,
    "MaxPool": max_pool,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": relu,
    "Reshape": reshape,
    "Shape": shape,
    "Softmax": end,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
