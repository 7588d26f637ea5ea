"""Operators that change what a map looks like: layouts, padding, parts joined, and ends."""

from dataclasses import replace

import numpy as np

from downshift.sw.importing.attributes import integer, integers, number
from downshift.sw.importing.axes import Axes, reshaped, transposed
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.real_layer import RealLayer, identity_weights
from downshift.sw.importing.translation import Translation
from downshift.sw.importing.values import ConstantValue, EndValue, MapValue, Refused, Value

__all__ = ["SHAPE_OPERATORS", "joined"]


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
    more = np.add(value.padding, (*around["h"], *around["w"])).tolist()
    return replace(value, padding=tuple(more)), "into the convolution that takes it"


def concat(t: Translation, node: Node) -> tuple[Value, str]:
    """Concat of channels: each part is put into its place by a layer that adds those before."""
    return joined(t, node, [t.map(node, index) for index in range(len(node.inputs))])


def joined(t: Translation, node: Node, values: list[MapValue]) -> tuple[MapValue, str]:
    """Maps whose channels follow each other."""
    if not values:
        raise Refused("joins nothing")
    sizes = [t.sizes(value) for value in values]
    axis = integer(node, "axis", 1)
    rank = len(values[0].axes)
    if not -rank <= axis < rank:
        raise Refused(f"joins along axis {axis} of {rank}")
    axis %= rank
    # An axis of one channel is none.
    values = [
        value.turned((*value.axes[:axis], ("c",), *value.axes[axis + 1 :]))
        if value.axes[axis : axis + 1] == ((),) and each["c"] == 1
        else value
        for value, each in zip(values, sizes, strict=True)
    ]
    if any(value.axes != values[0].axes for value in values):
        raise Refused("takes maps of other axes than each other")
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
            before.completed_by = layer
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


SHAPE_OPERATORS = {
    "ArgMax": end,
    "Cast": same,
    "Concat": concat,
    "Dropout": same,
    "Flatten": flatten,
    "Identity": same,
    "LogSoftmax": end,
    "Pad": pad,
    "Reshape": reshape,
    "Shape": shape,
    "Softmax": end,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
