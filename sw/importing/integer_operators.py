"""Operators on integers: of ONNX, and of the runtime that writes them."""

from dataclasses import replace

import numpy as np

from downshift.sw.importing.arithmetic_operators import affine, sum_of_maps
from downshift.sw.importing.attributes import integer
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.pool_operators import averaged, mean_of
from downshift.sw.importing.product_operators import convolution, fully_connected
from downshift.sw.importing.quantizer_operators import (
    dequantized_constant,
    entering_codes,
    leaving,
    real,
)
from downshift.sw.importing.shape_operators import joined
from downshift.sw.importing.translation import Translation
from downshift.sw.importing.values import (
    ConstantValue,
    EndValue,
    MapValue,
    Refused,
    StoredConstant,
    Value,
)

__all__ = ["INTEGER_OPERATORS"]


def qlinear_conv(t: Translation, node: Node) -> tuple[Value, str]:
    """QLinearConv."""
    value = _entering(t, node, 0)
    weights = dequantized_constant(t, node, 3, axis=0)
    value, detail = convolution(t, node, value, weights, _bias(t, node, 8, value, weights))
    return leaving(t, node, value, 6, detail)


def qlinear_matmul(t: Translation, node: Node) -> tuple[Value, str]:
    """QLinearMatMul."""
    value = _entering(t, node, 0)
    weights = dequantized_constant(t, node, 3, axis=1)
    value, detail = fully_connected(t, node, value, weights, None)
    return leaving(t, node, value, 6, detail)


def qgemm(t: Translation, node: Node) -> tuple[Value, str]:
    """QGemm: a matrix product with its bias."""
    value = _entering(t, node, 0)
    turned = bool(integer(node, "transB", 0))
    if integer(node, "transA", 0) or node.attributes.get("alpha", 1.0) != 1.0:
        raise Refused("transA and alpha work on constants only; leave them out")
    weights = dequantized_constant(t, node, 3, axis=0 if turned else 1)
    if turned:
        stored = weights.stored
        assert stored is not None
        stored = replace(stored, codes=stored.codes.T, scale=stored.scale.T)
        weights = ConstantValue(array=weights.array.T, stored=stored)
    bias = _bias(t, node, 6, value, weights)
    value, detail = fully_connected(t, node, value, weights, bias)
    return leaving(t, node, value, 7, detail)


def qlinear_add(t: Translation, node: Node) -> tuple[Value, str]:
    """QLinearAdd of two maps, or of a map and a constant."""
    constants = [k for k in (0, 3) if isinstance(t.value(node, k), ConstantValue)]
    if constants:
        value = _entering(t, node, 3 - constants[0])
        array = dequantized_constant(t, node, constants[0], axis=0).array
        value, detail = affine(t, node, value, np.ones(1), t.affine(array, value))
    else:
        value, detail = sum_of_maps(t, node, [_entering(t, node, 0), _entering(t, node, 3)])
    return leaving(t, node, value, 6, detail)


def qlinear_concat(t: Translation, node: Node) -> tuple[Value, str]:
    """QLinearConcat: what leaves comes first, then the maps."""
    values = [_entering(t, node, index) for index in range(2, len(node.inputs), 3)]
    value, detail = joined(t, node, values)
    return leaving(t, node, value, 0, detail)


def qlinear_global_average_pool(t: Translation, node: Node) -> tuple[Value, str]:
    """QLinearGlobalAveragePool."""
    if integer(node, "channels_last", 0):
        raise Refused("takes channels before rows and columns; leave channels_last 0")
    value, detail = mean_of(_entering(t, node, 0))
    return leaving(t, node, value, 3, detail)


def qlinear_average_pool(t: Translation, node: Node) -> tuple[Value, str]:
    """QLinearAveragePool."""
    if integer(node, "channels_last", 0):
        raise Refused("takes channels before rows and columns; leave channels_last 0")
    value, detail = averaged(t, node, t.in_order(_entering(t, node, 0)))
    return leaving(t, node, value, 3, detail)


def qlinear_softmax(t: Translation, node: Node) -> tuple[Value, str]:
    """QLinearSoftmax, at the end."""
    return EndValue(value=_entering(t, node, 0)), "nothing: the network gives its logits"


def conv_integer(t: Translation, node: Node) -> tuple[Value, str]:
    """ConvInteger: sums that are scaled by what follows."""
    value, weights = _sums(t, node)
    return convolution(t, node, value, weights, None)


def matmul_integer(t: Translation, node: Node) -> tuple[Value, str]:
    """MatMulInteger: sums that are scaled by what follows."""
    value, weights = _sums(t, node)
    return fully_connected(t, node, value, weights, None)


def _entering(t: Translation, node: Node, index: int) -> MapValue:
    """A map of codes as real numbers; scale and zero point follow it among the inputs."""
    value = t.map(node, index, integer=True)
    return real(t, value, entering_codes(t, node, value, index))


def _bias(
    t: Translation, node: Node, index: int, value: MapValue, weights: ConstantValue
) -> np.ndarray | None:
    """Biases in units of the sums, as real numbers."""
    if index >= len(node.inputs) or not node.inputs[index]:
        return None
    codes, stored = t.numbers(node, index, "biases").reshape(-1), weights.stored
    params = value.params
    assert stored is not None and params is not None
    scale = stored.scale.reshape(-1) * params.scale
    if scale.size not in (1, codes.size):
        raise Refused(f"{codes.size} biases do not fit {scale.size} scales")
    return codes * scale


def _sums(t: Translation, node: Node) -> tuple[MapValue, ConstantValue]:
    """A map of codes as real numbers, and weights that give sums of codes for these."""
    value = t.map(node, 0, integer=True)
    params = value.params
    if params is None:
        raise Refused("takes integers whose scale nothing says; put a DequantizeLinear there")
    zero = t.numbers(node, 2, "a zero point").reshape(-1) if len(node.inputs) > 2 else np.zeros(1)
    if zero.size != 1 or zero[0] + value.offset != params.zero_point:
        raise Refused("takes off another zero point than its input was quantized with")
    constant = t.constant(node, 1, "weights")
    if constant.array.dtype.kind not in "iu":
        raise Refused("weights must be integers")
    codes = constant.array.astype(np.int64)
    if len(node.inputs) > 3 and node.inputs[3]:
        off = t.numbers(node, 3, "a zero point").astype(np.int64).reshape(-1)
        if off.size != 1:
            raise Refused("weights must have one zero point")
        codes = codes - off[0]
    scale = np.full((1,) * codes.ndim, 1 / params.scale)
    stored = StoredConstant(codes=codes, scale=scale, width=8)
    return real(t, value, params), ConstantValue(array=codes * scale, stored=stored)


INTEGER_OPERATORS = {
    "ConvInteger": conv_integer,
    "MatMulInteger": matmul_integer,
    "QGemm": qgemm,
    "QLinearAdd": qlinear_add,
    "QLinearAveragePool": qlinear_average_pool,
    "QLinearConcat": qlinear_concat,
    "QLinearConv": qlinear_conv,
    "QLinearGlobalAveragePool": qlinear_global_average_pool,
    "QLinearMatMul": qlinear_matmul,
    "QLinearSoftmax": qlinear_softmax,
}
