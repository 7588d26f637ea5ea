"""Operators that add and multiply by channel, and that add maps."""

from dataclasses import replace

import numpy as np

from downshift.sw.importing.attributes import number
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.real_layer import RealLayer, StoredWeights
from downshift.sw.importing.translation import Translation
from downshift.sw.importing.values import ConstantValue, MapValue, Refused, Value

__all__ = ["ARITHMETIC_OPERATORS", "affine", "sum_of_maps"]

WHOLE_WEIGHTS = np.arange(64, 128)
"""What the weight of an identity that only adds may be: the more, the finer its counts."""


def add(t: Translation, node: Node) -> tuple[Value, str]:
    """Add of two maps, or of a map and a constant."""
    first, second = t.value(node, 0), t.value(node, 1)
    if isinstance(first, MapValue) and isinstance(second, MapValue):
        return sum_of_maps(t, node, [t.map(node, 0), t.map(node, 1)])
    place = 1 if isinstance(first, ConstantValue) else 0
    value = t.map(node, place)
    offset = t.affine(t.numbers(node, 1 - place, "what is added"), value)
    return affine(t, node, value, np.ones(1), offset)


def subtract(t: Translation, node: Node) -> tuple[Value, str]:
    """Sub between a map and a constant."""
    place = 1 if isinstance(t.value(node, 0), ConstantValue) else 0
    value = t.map(node, place)
    offset = t.affine(t.numbers(node, 1 - place, "what is subtracted"), value)
    if place == 1:
        return affine(t, node, value, -np.ones(1), offset)
    return affine(t, node, value, np.ones(1), -offset)


def multiply(t: Translation, node: Node) -> tuple[Value, str]:
    """Mul of a map and a constant."""
    place = 1 if isinstance(t.value(node, 0), ConstantValue) else 0
    value = t.map(node, place)
    gain = t.affine(t.numbers(node, 1 - place, "a factor"), value)
    return affine(t, node, value, gain, np.zeros(1))


def divide(t: Translation, node: Node) -> tuple[Value, str]:
    """Div of a map by a constant."""
    value = t.map(node, 0)
    divisor = t.affine(t.numbers(node, 1, "a divisor"), value)
    if not divisor.all():
        raise Refused("a divisor must not be 0")
    return affine(t, node, value, 1 / divisor, np.zeros(1))


def batch_normalization(t: Translation, node: Node) -> tuple[Value, str]:
    """BatchNormalization, of what it has learned."""
    value = t.map(node)
    names = ("a gain", "an offset", "a mean", "a variance")
    gain, offset, mean, variance = (
        t.numbers(node, index, name).reshape(-1) for index, name in enumerate(names, 1)
    )
    channels = t.sizes(value)["c"]
    if {each.size for each in (gain, offset, mean, variance)} != {channels}:
        raise Refused(f"its parameters do not fit {channels} channels")
    if len(value.axes) < 2 or value.axes[1] not in (("c",), ()):
        raise Refused("takes maps of axes N, C, …; these are in another order")
    spread = variance + number(node, "epsilon", 1e-5)
    if not (spread > 0).all():
        raise Refused("variances must be positive")
    gain = gain / np.sqrt(spread)
    return affine(t, node, value, gain, offset - gain * mean)


def affine(
    t: Translation, node: Node, value: MapValue, gain: np.ndarray, offset: np.ndarray
) -> tuple[Value, str]:
    """A map times a factor plus an offset, each of every channel or of all."""
    if not (np.isfinite(gain).all() and np.isfinite(offset).all()):
        raise Refused("its numbers are too large")
    network = t.network
    if value.layer is None and value.exclusive and network.input_codes is None:
        scalar = gain.size == offset.size == 1 and gain[0] > 0
        if scalar and not (value.mean or any(value.padding)):
            network.input_gain = float(network.input_gain * gain[0])
            network.input_offset = float(network.input_offset * gain[0] + offset[0])
            return value, "into how inputs become codes"
    positive = (gain > 0).all()
    if not offset.any() and positive and not t.can_open(value, _is_scalable):
        return replace(value, factor=gain * (1.0 if value.factor is None else value.factor)), (
            "into what takes it"
        )
    opened, layer = t.open(
        node, value, lambda each: _is_scalable(each) and (each.residual is None or bool(positive))
    )
    channels = len(layer.bias)
    layer.scale_by(np.broadcast_to(gain, channels), np.broadcast_to(offset, channels))
    return opened, f"into layer {layer.name}"


def _is_scalable(layer: RealLayer) -> bool:
    return layer.is_linear


def sum_of_maps(t: Translation, node: Node, values: list[MapValue]) -> tuple[MapValue, str]:
    """Sum of two maps: one of their layers adds the other's codes to its sums."""
    first, second = (t.sizes(each) for each in values)
    if first != second or values[0].axes != values[1].axes:
        raise Refused(f"adds maps of shapes {_shape(first)} and {_shape(second)}; use equal ones")
    if any(each.mean or any(each.padding) for each in values):
        raise Refused("cannot add means or padded maps; use convolutions before it")
    if any(each.layer is not None and each.layer.thresholds for each in values):
        raise Refused("adds what a quantizer gave that is no whole number of codes")
    order = {each.name: index for index, each in enumerate(t.network.layers)}
    earlier, later = sorted(values, key=lambda each: order.get(t.name_of(each), -1))
    if _can_add(later):
        opened, other = later, earlier
    elif _can_add(earlier) and earlier.layer is not later.layer:
        # What nobody else takes may come as late as that.
        opened, other = earlier, later
        assert opened.layer is not None
        t.network.layers.remove(opened.layer)
        t.network.layers.append(opened.layer)
    else:
        opened, other = _adder(t, node, t.multiplied(node, later), earlier), earlier
    layer = opened.layer
    assert layer is not None
    layer.residual = t.name_of(other)
    if other.factor is not None:
        layer.residual_gain = np.broadcast_to(other.factor, len(layer.bias)).astype(np.float64)
    opened = replace(opened, params=None)
    return opened, f"into layer {layer.name}, which adds {layer.residual}"


def _adder(t: Translation, node: Node, host: MapValue, other: MapValue) -> MapValue:
    """An identity of a map, with a weight for which a code of the other counts a whole number."""
    opened = t.identity(node, host)
    scales = [each.params and each.params.scale for each in (host, other)]
    layer = opened.layer
    assert layer is not None and layer.stored is not None
    layer.pinned = True
    for each in (host, other):
        if each.layer is not None and each.exclusive:
            each.layer.wide = True
    if None in scales:
        return opened
    ratio = scales[1] / scales[0] * (1.0 if other.factor is None else other.factor.mean())
    weight = whole_weight(ratio)
    shape = layer.stored.codes.shape
    layer.stored = StoredWeights(
        codes=np.full(shape, weight, np.int8), scale=np.full(len(layer.bias), 1 / weight)
    )
    return opened


def whole_weight(ratio: float) -> int:
    """Weight of an identity for which a code of the map that is added counts nearly a whole number.

    Parameters
    ----------
    ratio : float
        Real value of that map's code over that of a code that enters.

    Examples
    --------
    >>> whole_weight(7 / 81)
    81
    """
    counts = WHOLE_WEIGHTS * ratio
    errors = np.abs(counts - np.maximum(np.rint(counts), 1)) / counts
    return int(WHOLE_WEIGHTS[errors.argmin()])


def _can_add(value: MapValue) -> bool:
    """Whether the layer of a map can take a residual in."""
    layer = value.layer
    return (
        layer is not None
        and value.exclusive
        and value.factor is None
        and layer.codes is None
        and layer.residual is None
        and layer.pool is None
        and not layer.is_clipped
    )


def _shape(sizes: dict[str, int]) -> tuple[int, ...]:
    return tuple(sizes[each] for each in "hwc")


ARITHMETIC_OPERATORS = {
    "Add": add,
    "BatchNormalization": batch_normalization,
    "Div": divide,
    "Mul": multiply,
    "Sub": subtract,
}
