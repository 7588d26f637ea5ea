"""Integer graphs as ONNX: integers that floats hold exactly, so that any runtime gives golden's."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from downshift.hw.errors import DownshiftError
from downshift.sw.exporting.onnx_writer import QONNX_DOMAIN, Dialect, OnnxWriter
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph, Layer, Setting
from downshift.sw.graph.sum_bounds import sum_bounds

__all__ = ["Dialect", "onnx_bytes", "onnx_model"]

VERSIONS, NARROW_VERSIONS = (21, 10), (25, 13)
"""Opset and version of the format: the first with int4, and the first with int2."""
EXACT = 1 << 24
"""Sums below this are exact in float32, in any order."""


def onnx_bytes(graph: IntegerGraph, width: int, dialect: Dialect) -> bytes:
    """Return the file of `onnx_model`."""
    return onnx_model(graph, width, dialect).SerializeToString()


def onnx_model(graph: IntegerGraph, width: int, dialect: Dialect) -> onnx.ModelProto:
    """Write a network at one width as ONNX.

    Between quantizers, tensors hold whole numbers: codes less their zero point, weights, and sums
    of products below 2**24, which float32 adds exactly. Scales are applied in float64, where the
    product of a sum and a multiplier is exact, and rounded half to even before they are quantized
    with a scale of 1. What a runtime computes is hence what golden does, to the bit.

    Parameters
    ----------
    graph : IntegerGraph
    width : int
        One of ``graph.widths``.
    dialect : Dialect

    Returns
    -------
    onnx.ModelProto
        Takes ``input``, real numbers of (n, channels, height, width), and gives ``logits``, int32
        of (n, outputs); with scales of logits also ``output``, the real numbers.

    Raises
    ------
    DownshiftError
        If the network does not run at `width`, or a convolution's sums may be 2**24 or more and the
        dialect has no operator on integers.
    """
    graph.check_width(width)
    writer = OnnxWriter(
        dialect, layers=(each.name for each in graph.layers), ends=("input", "logits", "output")
    )
    value = _input(writer, graph, width)
    maps = {INPUT: value}
    for layer in graph.layers:
        setting = layer.settings[width]
        source = graph.source_of(layer)
        sums = _sums(writer, graph, layer, width, maps[source])
        if setting.out_width == LOGIT_WIDTH:
            _logits(writer, graph, layer, setting, sums, width)
        else:
            added = None if layer.residual is None else maps[layer.residual]
            maps[layer.name] = _codes(writer, layer, setting, sums, added, graph, width)
    height, columns, channels = graph.input_shape
    shape = ["n", channels, height, columns]
    inner = helper.make_graph(
        writer.nodes,
        graph.name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        writer.outputs,
        writer.constants,
        value_info=writer.infos,
    )
    narrow = any(constant.data_type == TensorProto.INT2 for constant in writer.constants)
    opset, ir_version = NARROW_VERSIONS if narrow else VERSIONS
    opsets = [helper.make_opsetid("", opset)]
    if dialect is Dialect.QONNX:
        opsets.append(helper.make_opsetid(QONNX_DOMAIN, 1))
    model = helper.make_model(inner, opset_imports=opsets, ir_version=ir_version)
    model.producer_name = "downshift"
    known = {str(key): str(value) for key, value in graph.provenance.items()}
    helper.set_model_props(model, {**known, "width": str(width)})
    return model


def _input(writer: OnnxWriter, graph: IntegerGraph, width: int) -> str:
    """What enters, as codes less their zero point."""
    bits, zero_point = graph.codes_of(INPUT, width)
    scale = writer.constant("input.unit", np.float64(graph.input_scale))
    zero = graph.input_offset + zero_point * graph.input_scale
    value = writer.node("Cast", ["input"], "input.real", to=TensorProto.DOUBLE)
    if zero:
        moved = writer.constant("input.offset", np.float64(zero))
        value = writer.node("Sub", [value, moved], "input.moved")
    value = writer.node("Div", [value, scale], "input.scaled")
    return _rounded(writer, value, "input.map", bits, zero_point)


def _rounded(
    writer: OnnxWriter,
    value: str,
    name: str,
    width: int,
    zero_point: int,
    largest: int | None = None,
) -> str:
    """A float64 tensor as codes less their zero point."""
    value = writer.node("Round", [value], f"{name}.rounded")
    value = writer.node("Cast", [value], f"{name}.whole", to=TensorProto.FLOAT)
    return writer.quantized(name, value, width, zero_point, largest=largest)


def _sums(writer: OnnxWriter, graph: IntegerGraph, layer: Layer, width: int, value: str) -> str:
    """Sums of products of a layer, less what the input's zero point adds to them; float64."""
    setting, name = layer.settings[width], layer.name
    codes = setting.running(layer.weight)
    shape = graph.shape_of(graph.source_of(layer))
    spans = layer.kernel == shape[:2] and layer.groups == 1 and not any(layer.padding)
    if layer.average or spans:
        rows = codes.reshape(len(codes), -1).T
        weights = writer.weights(f"{name}.weight", rows, setting.weight_width)
        if layer.average:
            axes = writer.constant(f"{name}.axes", np.int64([2, 3]))
            value = writer.node("ReduceSum", [value, axes], f"{name}.sum", keepdims=1)
        value = writer.node("Flatten", [value], f"{name}.flat")
        value = writer.node("Cast", [value], f"{name}.wide", to=TensorProto.DOUBLE)
        weights = writer.node("Cast", [weights], f"{name}.weight.wide", to=TensorProto.DOUBLE)
        products = writer.node("MatMul", [value, weights], f"{name}.products", name=name)
        places = writer.constant(f"{name}.places", np.int64([2, 3]))
        return writer.node("Unsqueeze", [products, places], f"{name}.sums")
    largest = np.abs(codes.astype(np.int64)).sum(axis=(1, 2, 3)).max() * (
        (1 << setting.in_width) - 1
    )
    if largest >= EXACT:
        raise DownshiftError(
            f"Layer {name} at width {width}: its sums may reach {largest:,}, and float32 is exact "
            f"below {EXACT:,} only; export a lower width"
        )
    top, bottom, left, right = layer.padding
    weights = writer.weights(f"{name}.weight", codes, setting.weight_width)
    value = writer.node(
        "Conv", [value, weights], f"{name}.products", name=name, strides=list(layer.stride),
        pads=[top, left, bottom, right], group=layer.groups, kernel_shape=list(layer.kernel),
    )  # fmt: skip
    return writer.node("Cast", [value], f"{name}.sums", to=TensorProto.DOUBLE)


def _bias(graph: IntegerGraph, layer: Layer, width: int) -> np.ndarray:
    """Biases for sums of codes less their zero points; int64, (out_channels,)."""
    setting = layer.settings[width]
    codes = setting.running(layer.weight).astype(np.int64)
    height, columns, _ = graph.shape_of(graph.source_of(layer))
    pixels = height * columns if layer.average else 1
    taken = setting.zero_point_in * pixels * codes.sum(axis=(1, 2, 3)) << setting.residual_shift
    bias = setting.bias.astype(np.int64) + taken
    if layer.residual is not None and setting.residual_multiplier is not None:
        _, zero = graph.codes_of(layer.residual, width)
        bias += zero * setting.residual_multiplier.astype(np.int64)
    return bias


def _spread(array: np.ndarray) -> np.ndarray:
    """Numbers by channel, as they meet maps: (channels, 1, 1)."""
    return array.astype(np.float64)[:, None, None]


def _codes(
    writer: OnnxWriter,
    layer: Layer,
    setting: Setting,
    sums: str,
    added: str | None,
    graph: IntegerGraph,
    width: int,
) -> str:
    """The map that a layer gives, as codes less their zero point."""
    name = layer.name

    def constant(what: str, array: np.ndarray) -> str:
        return writer.constant(f"{name}.{what}", _spread(array))

    if added is not None and setting.residual_multiplier is not None:
        shift = writer.constant(f"{name}.shift", np.float64(1 << setting.residual_shift))
        sums = writer.node("Mul", [sums, shift], f"{name}.shifted")
        wide = writer.node("Cast", [added], f"{name}.added.wide", to=TensorProto.DOUBLE)
        counts = constant("counts", setting.residual_multiplier)
        wide = writer.node("Mul", [wide, counts], f"{name}.added")
        sums = writer.node("Add", [sums, wide], f"{name}.both")
    bias = constant("bias", _bias(graph, layer, width))
    sums = writer.node("Add", [sums, bias], f"{name}.biased")
    _check_products(graph, layer, width)
    factor = setting.multiplier / np.exp2(setting.shift.astype(np.float64))
    sums = writer.node("Mul", [sums, constant("factor", factor)], f"{name}.scaled")
    inner = f"{name}.unpooled" if layer.pool else f"{name}.map"
    value = _rounded(
        writer, sums, inner, setting.out_width, setting.zero_point_out, setting.largest
    )
    if layer.pool is None:
        return value
    return writer.node(
        "MaxPool", [value], f"{name}.map", kernel_shape=list(layer.pool.size),
        strides=list(layer.pool.stride),
    )  # fmt: skip


def _check_products(graph: IntegerGraph, layer: Layer, width: int) -> None:
    """Refuse products of sums and multipliers that float64 would round, short of the largest code.

    A product of 2**53 or more that is shifted by less than that and 9 bits is beyond all codes.
    """
    setting = layer.settings[width]
    reach = max(map(abs, sum_bounds(graph, layer, width)))
    products = reach * setting.multiplier.astype(np.float64)
    if np.any((products >= 2.0**53) & (setting.shift > 53 - 9)):
        raise DownshiftError(
            f"Layer {layer.name} at width {width}: its sums may reach {reach:,}, and float64 does "
            "not multiply them exactly; import the network with --multiplier-width 16"
        )


def _logits(
    writer: OnnxWriter, graph: IntegerGraph, layer: Layer, setting: Setting, sums: str, width: int
) -> None:
    """The logits, and what they are in real numbers."""
    bias = writer.constant(f"{layer.name}.bias", _spread(_bias(graph, layer, width)))
    sums = writer.node("Add", [sums, bias], f"{layer.name}.biased")
    sums = writer.node("Transpose", [sums], f"{layer.name}.turned", perm=[0, 2, 3, 1])
    sums = writer.node("Flatten", [sums], f"{layer.name}.all")
    writer.node("Cast", [sums], "logits", to=TensorProto.INT32)
    outputs: Mapping[str, int] = {"logits": TensorProto.INT32}
    if graph.logit_scales:
        unit = writer.constant("output.unit", np.float32(graph.logit_scales[width]))
        writer.node("DequantizeLinear", ["logits", unit], "output")
        outputs = {**outputs, "output": TensorProto.FLOAT}
    count = int(np.prod(graph.shape_of(layer.name)))
    for name, kind in outputs.items():
        writer.outputs.append(helper.make_tensor_value_info(name, kind, ["n", count]))
