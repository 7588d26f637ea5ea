"""Operators that quantize: of ONNX itself, and of QONNX."""

from dataclasses import replace

import numpy as np

from downshift.sw.graph.integer_setting import Codes
from downshift.sw.importing.attributes import integer, number, text
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.real_layer import Thresholds
from downshift.sw.importing.translation import Translation
from downshift.sw.importing.values import (
    ConstantValue,
    EndValue,
    MapValue,
    Refused,
    StoredConstant,
    Value,
)

__all__ = ["QUANTIZER_OPERATORS", "clipped_codes", "dequantized", "quantized"]

MOST_THRESHOLDS = 7
"""Comparisons of a channel: each is a channel more for the layer that follows."""
INTEGERS = {"uint8": (0, 8), "int8": (128, 8), "uint4": (0, 4), "int4": (8, 4)}
"""What is added to integers of a type to give codes, and the bits of these."""


def quantize_linear(t: Translation, node: Node) -> tuple[Value, str]:
    """QuantizeLinear."""
    if isinstance(t.value(node, 0), EndValue):
        return t.values[node.inputs[0]], "its output stays logits"
    scale, zero_point, type_name = _parameters(t, node)
    if isinstance(constant := t.value(node, 0), ConstantValue):
        return _quantized_constant(t, node, constant, scale, zero_point, type_name)
    if scale.size != 1:
        raise Refused("activations must have one scale, not one of each channel")
    value = t.map(node)
    offset, width = INTEGERS[type_name]
    codes = _codes(float(scale.reshape(-1)[0]), int(zero_point.reshape(-1)[0]) + offset, width)
    value, detail = quantized(t, node, value, codes)
    return replace(value, integer=True, params=codes, offset=offset), detail


def quantized(t: Translation, node: Node, value: MapValue, codes: Codes) -> tuple[MapValue, str]:
    """A map as codes: its own, or those of an identity that follows it."""
    network = t.network
    if value.mean:
        return value, "nothing: the mean goes on exactly"
    if value.layer is None:
        if network.input_codes in (None, codes):
            network.input_codes = codes
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


def clipped_codes(codes: Codes, low: float, high: float) -> Codes:
    """Codes that reach from `low` to `high`, if they would reach beyond by half a code.

    Examples
    --------
    >>> clipped_codes(Codes(scale=0.5, width=8, zero_point=128), 0.0, np.inf)
    Codes(scale=0.5, width=8, zero_point=0)
    >>> clipped_codes(Codes(scale=0.5, width=4), 0.0, 6.0)
    Codes(scale=0.4, width=4, zero_point=0)
    """
    most = (1 << codes.width) - 1
    ends = -codes.zero_point * codes.scale, (most - codes.zero_point) * codes.scale
    half = codes.scale / 2
    if low <= ends[0] + half and high >= ends[1] - half:
        return codes
    if high >= ends[1] - half and low == 0:
        return replace(codes, zero_point=0)
    low, high = max(low, ends[0]), min(high, ends[1])
    scale = (high - low) / most
    if not scale > 0:
        return codes
    return Codes(
        scale=scale, width=codes.width, zero_point=int(np.clip(round(-low / scale), 0, most))
    )


def dequantize_linear(t: Translation, node: Node) -> tuple[Value, str]:
    """DequantizeLinear."""
    given = t.value(node, 0)
    if isinstance(given, EndValue):
        return given, "its output stays logits"
    if isinstance(given, ConstantValue):
        return _dequantized_constant(t, node, given), "a constant"
    value = t.map(node, integer=True)
    scale = _scale(t, node, 1)
    zero_point = _zero_point(t, node, 2)
    if scale.size != 1 or zero_point.size > 1:
        raise Refused("activations must have one scale, not one of each channel")
    shift = int(zero_point.reshape(-1)[0]) if zero_point.size else 0
    codes = _codes(float(scale.reshape(-1)[0]), shift + value.offset, 8)
    return dequantized(t, node, value, codes)


def dequantized(t: Translation, node: Node, value: MapValue, codes: Codes) -> tuple[Value, str]:
    """A map as real numbers again; `codes` as the file has them now."""
    if value.layer is None and value.params is None:
        if t.network.input_codes not in (None, codes):
            raise Refused("the input is dequantized with other numbers elsewhere")
        t.network.input_codes = codes
        return replace(value, integer=False, params=codes), "into the input, 8-bit codes"
    given = value.params
    assert given is not None
    if (given.scale, given.zero_point) != (codes.scale, codes.zero_point):
        raise Refused(
            f"dequantizes with scale {codes.scale:.6g} and zero point {codes.zero_point} what was "
            f"quantized with {given.scale:.6g} and {given.zero_point}"
        )
    return replace(value, integer=False), "into what takes it"


def _codes(scale: float, zero_point: int, width: int) -> Codes:
    if not 0 <= zero_point < 1 << width:
        raise Refused(f"its zero point is out of the range of {width} bits")
    return Codes(scale=scale, width=width, zero_point=zero_point)


def _scale(t: Translation, node: Node, index: int) -> np.ndarray:
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
    if array.dtype.kind != "f" or not (array == np.rint(array)).all() or abs(array).max() > 255:
        raise Refused("a zero point must be an integer")
    return array


def _parameters(t: Translation, node: Node) -> tuple[np.ndarray, np.ndarray, str]:
    """Scale, zero point and type of integers of a QuantizeLinear."""
    scale, zero_point = _scale(t, node, 1), _zero_point(t, node, 2)
    name = zero_point.dtype.name
    if not zero_point.size:
        zero_point = np.zeros(1, np.int64)
    if name not in INTEGERS:
        raise Refused(f"quantizes to {name}; int8, uint8, int4 and uint4 work")
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


def _quantized_constant(
    t: Translation, node: Node, value: ConstantValue, scale, zero_point, type_name: str
) -> tuple[Value, str]:
    """Integers of a constant, as QuantizeLinear gives them."""
    array, axis = value.array.astype(np.float64), integer(node, "axis", 1)
    offset, width = INTEGERS[type_name]
    whole = np.rint(array / _spread(scale, array, axis)) + _spread(zero_point, array, axis)
    integers = np.clip(whole, -offset, (1 << width) - 1 - offset)
    return ConstantValue(array=integers.astype(np.int64)), "a constant"


def _dequantized_constant(t: Translation, node: Node, value: ConstantValue) -> ConstantValue:
    array = value.array
    if array.dtype.kind not in "iu" and array.dtype.name not in INTEGERS:
        raise Refused(f"dequantizes integers, not {array.dtype.name}")
    axis = integer(node, "axis", 1)
    scale = _spread(_scale(t, node, 1), array, axis)
    zero_point = _zero_point(t, node, 2)
    integers = array.astype(np.int64)
    if zero_point.size:
        integers = integers - _spread(zero_point.astype(np.int64), array, axis)
    width = INTEGERS.get(array.dtype.name, (0, 8))[1]
    return _stored(integers, scale, width)


def _stored(codes: np.ndarray, scale: np.ndarray, width: int) -> ConstantValue:
    return ConstantValue(
        array=codes * scale, stored=StoredConstant(codes=codes, scale=scale, width=width)
    )


def quant(t: Translation, node: Node) -> tuple[Value, str]:
    """Quant of QONNX: any bits, of constants or of maps."""
    given = t.value(node, 0)
    if isinstance(given, EndValue):
        return given, "its output stays logits"
    scale, zero_point = _scale(t, node, 1), t.numbers(node, 2, "a zero point")
    bits = t.numbers(node, 3, "a bit width").reshape(-1)
    signed, narrow = integer(node, "signed", 1), integer(node, "narrow", 0)
    rounding = text(node, "rounding_mode", "ROUND").upper()
    if rounding not in ("ROUND", "HALF_EVEN"):
        raise Refused(f"rounds {rounding}; only ROUND, half to even, is what the hardware does")
    if bits.size != 1 or bits[0] != int(bits[0]) or bits[0] < 1:
        raise Refused(f"a bit width must be a positive integer, not {bits[:1].tolist()}")
    width = int(bits[0])
    low = -(1 << (width - 1)) + narrow if signed else 0
    high = (1 << (width - 1)) - 1 if signed else (1 << width) - 1 - narrow
    if isinstance(given, ConstantValue):
        array = t.numbers(node, 0, "a constant")
        try:
            whole = np.rint(array / scale + zero_point)
            codes = (np.clip(whole, low, high) - zero_point).astype(np.int64)
            scale = np.broadcast_to(scale, array.shape) if scale.ndim > array.ndim else scale
        except ValueError:
            raise Refused("its constants do not fit together") from None
        scale = scale.reshape((1,) * (array.ndim - scale.ndim) + scale.shape)
        return _stored(codes, scale, min(width, 8)), "a constant"
    if width > 8:
        raise Refused(f"quantizes a map to {width} bits; 1 to 8 work")
    if scale.size != 1 or zero_point.size != 1:
        raise Refused("activations must have one scale, not one of each channel")
    shift = float(zero_point.reshape(-1)[0])
    if shift != int(shift):
        raise Refused(f"a zero point must be an integer, not {shift}")
    step, value = float(scale.reshape(-1)[0]), t.map(node)
    codes = _codes(step, int(shift) - low, width)
    if narrow and value.layer is not None and high - low <= MOST_THRESHOLDS:
        # Of sums that are halves, those go up whose code becomes even.
        levels = np.arange(low + 1, high + 1)
        places = np.broadcast_to((levels - 0.5 - shift) * step, (t.sizes(value)["c"], len(levels)))
        return compared(t, node, value, places, levels % 2 != 0, step, (low - shift) * step)
    value, detail = quantized(t, node, value, codes)
    remark = "; its narrow range ends one code later" if narrow else ""
    return replace(value, params=codes), detail + remark


def compared(
    t: Translation,
    node: Node,
    value: MapValue,
    places: np.ndarray,
    strict: np.ndarray,
    scale: float,
    base: float,
) -> tuple[Value, str]:
    """A map compared with thresholds, (channels, count): each gives a channel of one bit."""
    opened, layer = t.open(
        node, value, lambda each: each.is_linear and each.residual is None and not each.average
    )
    channels, count = places.shape
    layer.weight = np.repeat(layer.weight, count, axis=0)
    layer.bias = np.repeat(layer.bias, count)
    if layer.groups > 1:
        raise Refused("compares the sums of a depthwise layer with thresholds; use whole codes")
    if layer.stored is not None:
        layer.stored = replace(
            layer.stored,
            codes=np.repeat(layer.stored.codes, count, axis=0),
            scale=np.repeat(layer.stored.scale, count),
        )
    layer.thresholds = Thresholds(
        places=places.reshape(-1).astype(np.float64),
        strict=np.tile(strict, channels),
        count=count,
        scale=scale,
        base=base,
    )
    layer.shape = (*layer.shape[:2], channels * count)
    layer.codes = Codes(scale=scale, width=1)
    return opened, f"into layer {layer.name}, {count} comparisons of each channel"


def multi_threshold(t: Translation, node: Node) -> tuple[Value, str]:
    """MultiThreshold of FINN: how many thresholds a map reaches, by channel."""
    value, places = t.map(node), t.numbers(node, 1, "thresholds")
    if text(node, "data_layout", "NCHW") not in ("NCHW", "NC", "NHWC") or places.ndim != 2:
        raise Refused(f"thresholds must have the shape (channels, count), not {places.shape}")
    scale, base = number(node, "out_scale", 1.0), number(node, "out_bias", 0.0)
    channels, count = t.sizes(value)["c"], places.shape[1]
    if len(places) not in (1, channels) or not count or not scale > 0:
        raise Refused(f"thresholds of shape {places.shape} do not fit {channels} channels")
    places = np.broadcast_to(np.sort(places, axis=1), (channels, count))
    if count > MOST_THRESHOLDS:
        raise Refused(
            f"{count} thresholds of each channel are more than {MOST_THRESHOLDS}; write a plain "
            "quantizer as Quant"
        )
    return compared(t, node, value, places, np.zeros(count, bool), scale, base)


def bipolar_quant(t: Translation, node: Node) -> tuple[Value, str]:
    """BipolarQuant of QONNX: weights of one bit."""
    if not isinstance(t.value(node, 0), ConstantValue):
        raise Refused("maps of -1 and 1 have no code of zero; use Quant with 2 bits for maps")
    array, scale = t.numbers(node, 0, "a constant"), _scale(t, node, 1)
    codes = np.where(array >= 0, 1, -1)
    scale = scale.reshape((1,) * max(array.ndim - scale.ndim, 0) + scale.shape)
    if scale.ndim != array.ndim:
        raise Refused("its constants do not fit together")
    return _stored(codes, scale, 1), "a constant"


QUANTIZER_OPERATORS = {
    "BipolarQuant": bipolar_quant,
    "DequantizeLinear": dequantize_linear,
    "MultiThreshold": multi_threshold,
    "Quant": quant,
    "QuantizeLinear": quantize_linear,
}
