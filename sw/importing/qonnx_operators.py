"""Quantizers of QONNX: any bits, one bit, and thresholds."""

from dataclasses import replace

import numpy as np

from downshift.sw.graph.integer_setting import Codes
from downshift.sw.importing.attributes import integer, number, text
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.quantizer_operators import (
    map_codes,
    positive_scale,
    quantized,
    stored_constant,
)
from downshift.sw.importing.real_layer import REACHED, Thresholds
from downshift.sw.importing.translation import Translation
from downshift.sw.importing.values import ConstantValue, EndValue, MapValue, Refused, Value

__all__ = ["QONNX_OPERATORS"]


MOST_BITS = 32
"""That a quantizer may have, if it is that of a constant."""
MOST_THRESHOLDS = 7
"""Comparisons of a channel: each is a channel more for the layer that follows."""


def quant(t: Translation, node: Node) -> tuple[Value, str]:
    """Quant of QONNX: any bits, of constants or of maps."""
    given = t.value(node, 0)
    if isinstance(given, EndValue):
        return given, "its output stays logits"
    scale, zero_point = positive_scale(t, node, 1), t.numbers(node, 2, "a zero point")
    bits = t.numbers(node, 3, "a bit width").reshape(-1)
    signed, narrow = integer(node, "signed", 1), integer(node, "narrow", 0)
    rounding = text(node, "rounding_mode", "ROUND").upper()
    if rounding not in ("ROUND", "HALF_EVEN"):
        raise Refused(f"rounds {rounding}; only ROUND, half to even, is what the hardware does")
    if bits.size != 1 or bits[0] not in range(1, MOST_BITS + 1):
        raise Refused(f"a bit width must be one of 1 to {MOST_BITS}, not {bits[:1].tolist()}")
    width = int(bits[0])
    low, high = _ends(width, signed=signed, narrow=narrow)
    if isinstance(given, ConstantValue):
        array = t.numbers(node, 0, "a constant")
        try:
            whole = np.rint(array / scale + zero_point)
            codes = (np.clip(whole, low, high) - zero_point).astype(np.int64)
            scale = np.broadcast_to(scale, array.shape) if scale.ndim > array.ndim else scale
        except ValueError:
            raise Refused("its constants do not fit together") from None
        scale = scale.reshape((1,) * (array.ndim - scale.ndim) + scale.shape)
        return stored_constant(codes, scale, min(width, 8)), "a constant"
    if width > 8:
        raise Refused(f"quantizes a map to {width} bits; 1 to 8 work")
    if scale.size != 1 or zero_point.size != 1:
        raise Refused("activations must have one scale, not one of each channel")
    shift = float(zero_point.reshape(-1)[0])
    if shift != int(shift):
        raise Refused(f"a zero point must be an integer, not {shift}")
    step, value = float(scale.reshape(-1)[0]), t.map(node)
    codes = map_codes(step, int(shift) - low, width)
    if narrow and value.layer is not None and high - low <= MOST_THRESHOLDS:
        # Of sums that are halves, those go up whose code becomes even.
        levels = np.arange(low + 1, high + 1)
        places = np.broadcast_to((levels - 0.5 - shift) * step, (t.sizes(value)["c"], len(levels)))
        return compared(t, node, value, places, levels % 2 != 0, step, (low - shift) * step)
    value, detail = quantized(t, node, value, codes)
    remark = "; its narrow range ends one code later" if narrow else ""
    return replace(value, params=codes), detail + remark


def _ends(width: int, *, signed: int, narrow: int) -> tuple[int, int]:
    """Least and largest integer of a quantizer."""
    if signed:
        return -(1 << (width - 1)) + narrow, (1 << (width - 1)) - 1
    return 0, (1 << width) - 1 - narrow


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
    layer.codes = Codes(scale=scale / REACHED, width=REACHED.bit_length())
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
    array, scale = t.numbers(node, 0, "a constant"), positive_scale(t, node, 1)
    codes = np.where(array >= 0, 1, -1)
    scale = scale.reshape((1,) * max(array.ndim - scale.ndim, 0) + scale.shape)
    if scale.ndim != array.ndim:
        raise Refused("its constants do not fit together")
    return stored_constant(codes, scale, 1), "a constant"


def trunc(t: Translation, node: Node) -> tuple[Value, str]:
    """Trunc of QONNX: whole numbers without their lowest bits, such as sums of an average.

    What goes in are integers of a scale. They are divided by a power of two, which version 1 gives
    as bits that go, and version 2 as another scale; version 1 keeps the scale.
    """
    value, later = t.map(node), len(node.inputs) > 5
    if t.numbers(node, 2, "a zero point").any():
        raise Refused("truncates numbers with a zero point; 0 works")
    given = [positive_scale(t, node, 1)] + [
        t.numbers(node, index, "a bit width or a scale") for index in range(3, 6 if later else 5)
    ]
    if any(each.size != 1 for each in given):
        raise Refused("activations must have one scale, not one of each channel")
    scale, entering, *leaving = (float(each.reshape(-1)[0]) for each in given)
    bits = leaving[-1]
    out_scale = leaving[0] if later else scale
    if bits not in range(1, 9) or not 0 < out_scale < np.inf:
        raise Refused(f"truncates to {bits:.6g} bits of scale {out_scale:.6g}; 1 to 8 bits work")
    lost = np.rint(np.log2(out_scale / scale)) if later else entering - bits
    if not abs(lost) < MOST_BITS:
        raise Refused(f"takes {lost:.6g} bits away; less than {MOST_BITS} work")
    divisor = 2.0**lost
    gain, offset = out_scale / (scale * divisor), 0.0
    rounding = text(node, "rounding_mode", "FLOOR").upper()
    if rounding == "FLOOR" and divisor > 1:
        # Less by half of what goes, whole numbers are never ties, and rounded down.
        offset = -(divisor - 1) / 2 * scale * gain
    elif rounding not in ("FLOOR", "ROUND", "HALF_EVEN"):
        raise Refused(f"rounds {rounding}; FLOOR and ROUND, half to even, work")
    if offset and not (value.mean or _has_finer_sums(value)):
        raise Refused(
            "rounds sums down whose bias cannot be half of one; truncate averages, or ROUND"
        )
    narrow, signed = integer(node, "narrow", 0), integer(node, "signed", int(later))
    low, _ = _ends(int(bits), signed=signed, narrow=narrow)
    codes = map_codes(out_scale, -low, int(bits))
    if offset or abs(gain - 1) > 1e-6:
        value, layer = t.open(node, t.multiplied(node, value), lambda each: each.is_linear)
        channels = len(layer.bias)
        layer.scale_by(np.full(channels, gain), np.full(channels, offset))
        layer.pinned = layer.pinned or bool(offset)  # of fewer bits, its weights may be odd
    value, detail = quantized(t, node, value, codes)
    return replace(value, params=codes), detail


def _has_finer_sums(value: MapValue) -> bool:
    """Whether the weights that a map comes from are multiples of 2 or more, as those of means."""
    stored = None if value.layer is None else value.layer.stored
    return stored is not None and int(np.gcd.reduce(np.abs(stored.codes), axis=None)) > 1


QONNX_OPERATORS = {
    "BipolarQuant": bipolar_quant,
    "MultiThreshold": multi_threshold,
    "Quant": quant,
    "Trunc": trunc,
}
