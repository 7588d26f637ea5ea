"""Operators that multiply by weights: convolutions and matrix products."""

from dataclasses import replace

import numpy as np

from downshift.sw.graph.kernels import dilated, ungrouped
from downshift.sw.importing.attributes import integer, integers, number, text
from downshift.sw.importing.axes import is_layout
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.real_layer import RealLayer, StoredWeights
from downshift.sw.importing.translation import OTHER_ORDER, Translation
from downshift.sw.importing.values import ConstantValue, MapValue, Refused, Value
from downshift.sw.importing.weight_codes import stored_weights

__all__ = ["PRODUCT_OPERATORS", "convolution", "fully_connected", "window"]


def conv(t: Translation, node: Node) -> tuple[Value, str]:
    """Conv: any groups, strides, dilations and paddings."""
    value, constant = t.map(node), t.constant(node, 1, "weights")
    bias = t.numbers(node, 2, "biases") if len(node.inputs) > 2 and node.inputs[2] else None
    return convolution(t, node, value, constant, bias)


def convolution(
    t: Translation, node: Node, value: MapValue, constant: ConstantValue, bias: np.ndarray | None
) -> tuple[MapValue, str]:
    """A convolution of a map with constant weights."""
    sizes = t.sizes(value)
    weight, codes = _kernels(constant)
    groups = integer(node, "group", 1)
    outputs, inputs, *kernel = weight.shape
    if not is_layout(value.axes, "nchw", sizes):
        raise Refused(OTHER_ORDER)
    if groups < 1 or inputs * groups != sizes["c"] or outputs % groups:
        raise Refused(
            f"weights of shape {weight.shape} in {groups} groups do not fit {sizes['c']} channels"
        )
    if bias is not None and bias.shape != (outputs,):
        raise Refused(f"biases of shape {bias.shape} do not fit {outputs} channels")
    dilations = integers(node, "dilations", (1, 1), 1)
    if dilations != (1, 1):
        if max(np.multiply(dilations, kernel)) > 256:
            raise Refused(f"a kernel of {kernel} dilated by {dilations} is too large")
        weight, codes = (dilated(each, dilations) for each in (weight, codes))
        kernel = list(weight.shape[2:])
    depthwise = groups == sizes["c"] == outputs
    if groups > 1 and not depthwise:
        if weight.size * groups > 1 << 24:
            raise Refused(f"{groups} groups of {inputs} channels are too many; use depthwise ones")
        weight, codes = (ungrouped(each, groups) for each in (weight, codes))
    stored = None
    if constant.stored is not None and constant.stored.scale.ndim == 4:
        stored = stored_weights(codes, constant.stored.scale, constant.stored.width)
    strides, pads = window(node, (sizes["h"], sizes["w"]), (kernel[0], kernel[1]))
    pads = tuple(each + more for each, more in zip(pads, value.padding, strict=True))
    if value.mean:
        if kernel != [1, 1] or any(pads) or depthwise:
            raise Refused("a convolution of a mean must have a kernel of 1×1 and one group")
        strides = (1, 1)
    if pads[0] >= kernel[0] or pads[2] >= kernel[1]:
        raise Refused(f"padding {pads} is not less than the kernel {kernel}; use less padding")
    height = (sizes["h"] + pads[0] + pads[1] - kernel[0]) // strides[0] + 1
    width = (sizes["w"] + pads[2] + pads[3] - kernel[1]) // strides[1] + 1
    layer = RealLayer(
        name=node.name,
        weight=weight,
        bias=np.zeros(outputs) if bias is None else bias,
        source=t.name_of(value),
        shape=(height, width, outputs),
        stride=strides,
        padding=pads,
        groups=groups if depthwise else 1,
        average=value.mean,
        stored=stored,
    )
    return t.add_layer(layer), f"layer {layer.name}{_remark(constant, stored)}"


def _remark(constant: ConstantValue, stored: StoredWeights | None) -> str:
    if constant.stored is not None and stored is None:
        return "; its weights are no int8 codes about 0 and are quantized again"
    return ""


def _kernels(constant: ConstantValue) -> tuple[np.ndarray, np.ndarray]:
    """Weights of four dimensions, real and as codes; where there are none, twice the real ones."""
    array = constant.array
    if array.ndim != 4 or array.dtype.kind not in "biuf" or not array.size:
        raise Refused(f"weights must have four dimensions, not the shape {array.shape}")
    weight = array.astype(np.float64)
    if not np.isfinite(weight).all():
        raise Refused("weights must be finite numbers")
    return weight, weight if constant.stored is None else constant.stored.codes


def window(
    node: Node, size: tuple[int, int], kernel: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """Strides, and padding above, below, left and right, of a convolution or a pool.

    Raises
    ------
    Refused
        If an attribute is none.
    """
    strides = integers(node, "strides", (1, 1), 1)
    top, left, bottom, right = integers(node, "pads", (0, 0, 0, 0))
    pads = (top, bottom, left, right)
    automatic = text(node, "auto_pad", "NOTSET")
    if automatic == "VALID":
        pads = (0, 0, 0, 0)
    elif automatic in ("SAME_UPPER", "SAME_LOWER"):
        halves = []
        for length, step, taps in zip(size, strides, kernel, strict=True):
            total = max((-(-length // step) - 1) * step + taps - length, 0)
            small, large = total // 2, total - total // 2
            halves += [small, large] if automatic == "SAME_UPPER" else [large, small]
        pads = tuple(halves)
    elif automatic != "NOTSET":
        raise Refused(f"attribute auto_pad must not be {automatic!r:.60}")
    return (strides[0], strides[1]), (pads[0], pads[1], pads[2], pads[3])


def _with_factor(layer: RealLayer, value: MapValue) -> None:
    """Let the weights of a layer multiply what enters by its factor, which is one number."""
    if value.factor is None:
        return
    if value.factor.size > 1:
        raise Refused("multiplies channels by numbers of their own before a matrix product")
    layer.weight = layer.weight * value.factor[0]
    if layer.stored is not None:
        layer.stored = replace(layer.stored, scale=layer.stored.scale * value.factor[0])


def matmul(t: Translation, node: Node) -> tuple[Value, str]:
    """MatMul of a map with constant weights: a fully connected layer, or a 1×1 convolution."""
    value, constant = t.map(node), t.constant(node, 1, "weights")
    return fully_connected(t, node, value, constant, None)


def gemm(t: Translation, node: Node) -> tuple[Value, str]:
    """Gemm of a map with constant weights."""
    value, constant = t.map(node), t.constant(node, 1, "weights")
    bias = t.numbers(node, 2, "biases") if len(node.inputs) > 2 and node.inputs[2] else None
    if integer(node, "transA", 0):
        raise Refused("transA works on constants only; leave it 0")
    if integer(node, "transB", 0):
        constant = _transposed(constant)
    alpha, beta = number(node, "alpha", 1.0), number(node, "beta", 1.0)
    if bias is not None:
        bias = beta * bias.reshape(-1)
    value, fate = fully_connected(t, node, value, constant, bias)
    if alpha != 1.0 and isinstance(value, MapValue) and value.layer is not None:
        count = len(value.layer.bias)
        kept = value.layer.bias
        value.layer.bias = np.zeros(count)
        value.layer.scale_by(np.full(count, alpha), kept)
    return value, fate


def _transposed(constant: ConstantValue) -> ConstantValue:
    """A matrix turned over."""
    if constant.array.ndim != 2:
        raise Refused(f"weights must be a matrix, not of shape {constant.array.shape}")
    stored = constant.stored
    if stored is not None:
        stored = replace(stored, codes=stored.codes.T, scale=stored.scale.T)
    return ConstantValue(array=constant.array.T, stored=stored)


def fully_connected(
    t: Translation,
    node: Node,
    value: MapValue,
    constant: ConstantValue,
    bias: np.ndarray | None,
) -> tuple[MapValue, str]:
    """A matrix product of the last axis of a map with constant weights (inputs, outputs)."""
    sizes, array, stored = t.sizes(value), constant.array, constant.stored
    if array.ndim != 2 or array.dtype.kind not in "biuf" or not array.size:
        raise Refused(f"weights must be a matrix, not of shape {array.shape}")
    if any(value.padding):
        raise Refused("only convolutions may follow a Pad")
    *others, last = value.axes
    inputs, outputs = array.shape
    if bias is not None and bias.shape != (outputs,):
        bias = np.broadcast_to(bias, outputs) if bias.size == 1 else bias
        if bias.size != outputs:
            raise Refused(f"biases of shape {bias.shape} do not fit {outputs} outputs")
    count = int(np.prod([sizes[each] for each in last if each in sizes]))
    if "n" in last or inputs != count:
        raise Refused(f"weights of shape {array.shape} do not fit a map's axis of {count}")
    if last in (("c",), ()) and not any(set(axis) - {"n"} for axis in others):
        kernel = ("c", "h", "w")
    elif last == ("c",):
        kernel = ("c",)
    elif set(last) == {each for each in "hwc" if sizes[each] > 1}:
        kernel = last
    else:
        raise Refused("a matrix product must take all of a map, or its channels")
    turned = _turned(array.T.astype(np.float64), kernel, sizes)
    codes = None
    if stored is not None and stored.scale.shape in ((1, 1), (1, outputs)):
        scale = stored.scale.reshape(-1, 1, 1, 1)
        codes = stored_weights(_turned(stored.codes.T, kernel, sizes), scale, stored.width)
    pixels = kernel == ("c",)
    layer = RealLayer(
        name=node.name,
        weight=turned,
        bias=np.zeros(outputs) if bias is None else np.array(bias, np.float64),
        source=t.name_of(value),
        shape=(sizes["h"], sizes["w"], outputs) if pixels else (1, 1, outputs),
        average=value.mean,
        stored=codes,
    )
    _with_factor(layer, value)
    if not np.isfinite(layer.weight).all():
        raise Refused("weights must be finite numbers")
    given = t.add_layer(layer)
    given = given.turned((*value.axes[:-1], ("c",) if outputs > 1 else ()))
    return given, f"layer {layer.name}{_remark(constant, codes)}"


def _turned(rows: np.ndarray, kernel: tuple[str, ...], sizes: dict[str, int]) -> np.ndarray:
    """Kernels (outputs, channels, rows, columns) from rows in the order of a tensor's axis."""
    full = (*kernel, *(each for each in "chw" if each not in kernel))
    shape = [sizes[each] if each in kernel else 1 for each in full]
    return rows.reshape(len(rows), *shape).transpose(0, *(1 + full.index(e) for e in "chw"))


PRODUCT_OPERATORS = {"Conv": conv, "Gemm": gemm, "MatMul": matmul}
