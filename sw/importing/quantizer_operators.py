"""Operators that quantize: of ONNX itself, and of QONNX."""

from dataclasses import replace

import numpy as np
from onnx import TensorProto

from downshift.sw.graph.integer_setting import Codes
from downshift.sw.importing.arithmetic_operators import affine
from downshift.sw.importing.attributes import integer
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.ranges import clipped_codes
from downshift.sw.importing.translation import Translation
from downshift.sw.importing.values import (
    ConstantValue,
    EndValue,
    MapValue,
    Refused,
    StoredConstant,
    Value,
)

__all__ = [
    "QUANTIZER_OPERATORS",
    "dequantized_constant",
    "entering_codes",
    "leaving",
    "map_codes",
    "positive_scale",
    "quantized",
    "real",
    "stored_constant",
]

INTEGERS = {
    "uint8": (0, 8), "int8": (128, 8), "uint4": (0, 4), "int4": (8, 4), "uint2": (0, 2),
    "int2": (2, 2),
}  # fmt: skip
"""What is added to integers of a type to give codes, and the bits of these."""
KINDS = TensorProto.DataType.values()
"""Types that ONNX has."""


def quantize_linear(t: Translation, node: Node) -> tuple[Value, str]:
    """QuantizeLinear."""
    given = t.value(node, 0)
    if isinstance(given, EndValue):
        return given, "its output stays logits"
    if isinstance(given, ConstantValue):
        return _quantized_constant(t, node, given), "a constant"
    return leaving(t, node, t.map(node), 1)


def leaving(
    t: Translation, node: Node, value: MapValue, index: int, before: str = ""
) -> tuple[MapValue, str]:
    """A map as the codes whose scale and zero point are there among the inputs."""
    scale, zero_point, type_name = _parameters(t, node, index)
    if scale.size != 1:
        raise Refused("activations must have one scale, not one of each channel")
    offset, width = INTEGERS[type_name]
    codes = map_codes(float(scale.reshape(-1)[0]), int(zero_point.reshape(-1)[0]) + offset, width)
    value, detail = quantized(t, node, value, codes)
    return replace(value, integer=True, params=codes, offset=offset), before or detail


def quantized(t: Translation, node: Node, value: MapValue, codes: Codes) -> tuple[MapValue, str]:
    """A map as codes: its own, or those of an identity that follows it."""
    network = t.network
    if value.rounded and codes.scale != 1:
        raise Refused(f"quantizes what was rounded with scale {codes.scale:.6g}; 1 works")
    value = replace(value, rounded=False)
    if value.mean:
        value = t.identity(node, t.multiplied(node, value))
        assert value.layer is not None
        value.layer.codes = codes
        return value, f"layer {value.layer.name}, which averages"
    if value.layer is None:
        taken = clipped_codes(codes, network.input_low, network.input_high)
        if taken.largest is None and network.input_codes in (None, taken):
            network.input_codes = taken
            return value, f"into the input, {codes.width}-bit codes"
    elif value.layer.codes is None or value.params == codes:
        layer = value.layer
        if value.params != codes:
            layer.codes = clipped_codes(codes, layer.low, layer.high)
        return value, f"into layer {layer.name}, {codes.width}-bit codes"
    value = t.identity(node, value)
    assert value.layer is not None
    value.layer.codes = codes
    return value, f"layer {value.layer.name}, which changes the scale"


def dequantize_linear(t: Translation, node: Node) -> tuple[Value, str]:
    """DequantizeLinear."""
    given = t.value(node, 0)
    if isinstance(given, EndValue):
        return given, "its output stays logits"
    if isinstance(given, ConstantValue):
        return dequantized_constant(t, node, 0, axis=integer(node, "axis", 1)), "a constant"
    value = t.map(node, integer=None)
    if not value.integer:
        # Sums, as integers of 32 bits.
        scale = positive_scale(t, node, 1)
        if _zero_point(t, node, 2).any() or scale.size > 1:
            raise Refused("takes sums with one scale, and no zero point")
        return affine(t, node, value, scale.reshape(-1), np.zeros(1))
    return real(t, value, entering_codes(t, node, value, 0)), "into what takes it"


def entering_codes(t: Translation, node: Node, value: MapValue, index: int) -> Codes:
    """What a map is dequantized with: scale and zero point follow it among the inputs."""
    scale, zero_point = positive_scale(t, node, index + 1), _zero_point(t, node, index + 2)
    if scale.size != 1 or zero_point.size > 1:
        raise Refused("activations must have one scale, not one of each channel")
    shift = int(zero_point.reshape(-1)[0]) if zero_point.size else 0
    return map_codes(float(scale.reshape(-1)[0]), shift + value.offset, 8)


def real(t: Translation, value: MapValue, codes: Codes) -> MapValue:
    """A map of codes as real numbers; `codes` as the file has them now."""
    if value.layer is None and value.params is None:
        if t.network.input_codes not in (None, codes):
            raise Refused("the input is dequantized with other numbers elsewhere")
        t.network.input_codes = codes
        return replace(value, integer=False, params=codes)
    given = value.params
    assert given is not None
    if (given.scale, given.zero_point) != (codes.scale, codes.zero_point):
        raise Refused(
            f"dequantizes with scale {codes.scale:.6g} and zero point {codes.zero_point} what was "
            f"quantized with {given.scale:.6g} and {given.zero_point}"
        )
    return replace(value, integer=False)


def map_codes(scale: float, zero_point: int, width: int) -> Codes:
    """Codes of a map, their zero point checked."""
    if not 0 <= zero_point < 1 << width:
        raise Refused(f"its zero point is out of the range of {width} bits")
    return Codes(scale=scale, width=width, zero_point=zero_point)


def positive_scale(t: Translation, node: Node, index: int) -> np.ndarray:
    """Scales that a node takes."""
    scale = t.numbers(node, index, "a scale")
    if not scale.size or not (scale > 0).all():
        raise Refused(f"a scale must be positive, not {scale.min(initial=np.inf):.6g}")
    return scale


def _zero_point(t: Translation, node: Node, index: int) -> np.ndarray:
    if index >= len(node.inputs) or not node.inputs[index]:
        return np.zeros(0, np.uint8)
    array = t.constant(node, index, "a zero point").array
    if array.dtype.kind in "biu":
        return array
    if array.dtype.name in INTEGERS:
        return array
    if array.dtype.kind != "f" or not ((array == np.rint(array)) & (abs(array) <= 255)).all():
        raise Refused("a zero point must be an integer")
    return array


def _parameters(t: Translation, node: Node, index: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Scale, zero point and type of the integers that a quantizer gives."""
    scale, zero_point = positive_scale(t, node, index), _zero_point(t, node, index + 1)
    name = zero_point.dtype.name
    if not zero_point.size:
        zero_point = np.zeros(1, np.int64)
        if kind := integer(node, "output_dtype", 0):
            name = TensorProto.DataType.Name(kind).lower() if kind in KINDS else f"type {kind}"
    if name not in INTEGERS:
        raise Refused(f"quantizes to {name}; {', '.join(INTEGERS)} work")
    return scale, zero_point.astype(np.int64), name


def _spread(parameter: np.ndarray, array: np.ndarray, axis: int) -> np.ndarray:
    """A parameter of one axis with the dimensions of an array."""
    if parameter.size == 1:
        return parameter.reshape((1,) * array.ndim)
    if parameter.ndim != 1 or not -array.ndim <= axis < array.ndim:
        raise Refused(f"parameters of shape {parameter.shape} work for no axis of {array.shape}")
    if parameter.size != array.shape[axis]:
        raise Refused(f"{parameter.size} parameters do not fit the shape {array.shape}")
    shape = [1] * array.ndim
    shape[axis] = -1
    return parameter.reshape(shape)


def _quantized_constant(t: Translation, node: Node, value: ConstantValue) -> ConstantValue:
    """Integers of a constant, as QuantizeLinear gives them."""
    scale, zero_point, type_name = _parameters(t, node, 1)
    array, axis = value.array.astype(np.float64), integer(node, "axis", 1)
    offset, width = INTEGERS[type_name]
    whole = np.rint(array / _spread(scale, array, axis)) + _spread(zero_point, array, axis)
    integers = np.clip(whole, -offset, (1 << width) - 1 - offset)
    return ConstantValue(array=integers.astype(np.int64))


def dequantized_constant(t: Translation, node: Node, index: int, *, axis: int) -> ConstantValue:
    """Weights from integers; scale and zero point follow them among the inputs."""
    array = t.constant(node, index, "weights").array
    if array.dtype.kind not in "iu" and array.dtype.name not in INTEGERS:
        raise Refused(f"dequantizes integers, not {array.dtype.name}")
    scale = _spread(positive_scale(t, node, index + 1), array, axis)
    zero_point = _zero_point(t, node, index + 2)
    integers = array.astype(np.int64)
    if zero_point.size:
        integers = integers - _spread(zero_point.astype(np.int64), array, axis)
    width = INTEGERS.get(array.dtype.name, (0, 8))[1]
    return stored_constant(integers, scale, width)


def stored_constant(codes: np.ndarray, scale: np.ndarray, width: int) -> ConstantValue:
    """A constant from its integers."""
    return ConstantValue(
        array=codes * scale, stored=StoredConstant(codes=codes, scale=scale, width=width)
    )


QUANTIZER_OPERATORS = {"DequantizeLinear": dequantize_linear, "QuantizeLinear": quantize_linear}
