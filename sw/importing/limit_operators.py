"""Operators that limit what a map holds."""

from dataclasses import replace

import numpy as np

from downshift.sw.graph.layer import INPUT
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.ranges import clipped_codes
from downshift.sw.importing.translation import Translation
from downshift.sw.importing.values import MapValue, Refused, Value

__all__ = ["LIMIT_OPERATORS", "is_positive"]


def rounding(t: Translation, node: Node) -> tuple[Value, str]:
    """Round, half to even, before a quantizer of scale 1."""
    return replace(t.map(node), rounded=True), "into the quantizer that follows"


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
        return _narrowed(t, value, low, high)
    return _limited(t, node, value, low, high)


def _limited(
    t: Translation, node: Node, value: MapValue, low: float, high: float
) -> tuple[Value, str]:
    """A map within limits."""
    if low <= 0 and high == np.inf and is_positive(t, value):
        return value, "nothing: there is nothing below 0"
    network = t.network
    if value.layer is None and value.exclusive and network.input_codes is None:
        network.input_low = max(network.input_low, low)
        network.input_high = min(network.input_high, high)
        return value, "into the limits of the input"
    opened, layer = t.open(node, value, lambda each: each.codes is None)
    layer.low, layer.high = max(layer.low, low), min(layer.high, high)
    if not layer.low < layer.high:
        raise Refused("its limits leave nothing of a map that has others already")
    return opened, f"into the limits of layer {layer.name}"


def is_positive(t: Translation, value: MapValue) -> bool:
    """Whether a map is known to hold nothing below 0."""
    if value.params is not None:
        own = t.network.input_codes if value.layer is None else value.layer.codes
        return 0 in (value.params.zero_point, own.zero_point if own else None)
    by_name = {layer.name: layer for layer in t.network.layers}
    left, seen = [t.name_of(value)], {INPUT}
    if left == [INPUT]:
        return t.network.input_low >= 0
    while left:
        name = left.pop()
        layer = by_name.get(name)
        if layer is None or layer.low >= 0 or name in seen:
            continue
        if (layer.bias < 0).any() or (layer.weight < 0).any():
            return False
        seen.add(name)
        left += [layer.source, layer.residual or layer.source]
        if INPUT in left and t.network.input_low < 0:
            return False
    return True


def _narrowed(t: Translation, value: MapValue, low: float, high: float) -> tuple[Value, str]:
    """Codes of which only some are used: as Brevitas writes quantizers of few bits."""
    params, layer, network = value.params, value.layer, t.network
    if params is None:
        raise Refused("limits integers that nothing says the scale of; put a QuantizeLinear there")
    limits = (network.input_low, network.input_high) if layer is None else layer.limits
    given = network.input_codes if layer is None else layer.codes
    if given != clipped_codes(params, *limits) or not value.exclusive:
        raise Refused("limits codes that something else takes too")
    first = max(int(np.ceil(low + value.offset)), 0) if low > -np.inf else 0
    last = (1 << params.width) - 1
    last = min(int(np.floor(high + value.offset)), last) if high < np.inf else last
    if not first <= params.zero_point <= last:
        raise Refused("limits codes to a range without the code of zero")
    ends = [(end - params.zero_point) * params.scale for end in (first, last)]
    codes = clipped_codes(params, max(limits[0], ends[0]), min(limits[1], ends[1]))
    if layer is not None:
        layer.codes = codes
        return value, f"into layer {layer.name}, {codes.width}-bit codes"
    if codes.largest is not None:
        raise Refused(f"limits the input to {codes.largest + 1} codes; powers of two work")
    network.input_codes = codes
    return value, f"into the input, {codes.width}-bit codes"


LIMIT_OPERATORS = {"Clip": clip, "Relu": relu, "Round": rounding}
