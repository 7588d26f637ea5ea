import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx_models import make_model, reference, translated, whole_numbers
from quantized_models import qdq_model, quantized, stored, weights

from downshift.hw.errors import DownshiftError
from downshift.sim import golden
from downshift.sw.graph.graph_file import graph_bytes
from downshift.sw.importing.importer import (
    import_graph,
    in_map_order,
    integer_graph,
    open_model,
    whole_network,
)
from downshift.sw.importing.quantize import input_codes


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_quantized_file_keeps_its_numbers(signed, residual, seed):
    model = qdq_model(signed=signed, seed=seed, residual=residual)
    x = whole_numbers((20, 3, 5, 5), seed=seed, low=-60, high=60) / 2
    graph = import_graph(model.SerializeToString())
    assert graph.widths == (8,)
    logits = golden.run(graph, input_codes(graph, x.transpose(0, 2, 3, 1)), 8).logits
    # Powers of two: floats and 16-bit multipliers both hold them exactly.
    np.testing.assert_array_equal(logits * graph.logit_scales[8], reference(model, x))


@pytest.mark.parametrize("opset", [13, 19, 25, 28])
def test_quantizers_are_the_same_at_every_opset(opset):
    model = qdq_model(residual=True)
    wanted = import_graph(model.SerializeToString())
    model.opset_import[0].version = opset
    found = import_graph(model.SerializeToString())
    assert graph_bytes(found) == graph_bytes(wanted)


@pytest.mark.parametrize("kind", ["INT8", "UINT8", "INT4", "UINT4", "INT2", "UINT2"])
def test_the_type_of_quantizers_without_a_zero_point(kind):
    """Weights of few bits, and codes whose type is an attribute."""
    number = getattr(onnx.TensorProto, kind)
    weight, rng = helper.tensor_dtype_to_np_dtype(number), np.random.default_rng(0)
    bits = int(kind.removeprefix("U")[3:])
    least = 0 if kind.startswith("U") else -(1 << bits - 1)
    codes = rng.integers(-(1 << bits - 1), 1 << bits - 1, (4, 3, 3, 3))
    kept = weight if least else helper.tensor_dtype_to_np_dtype(
        getattr(onnx.TensorProto, kind.removeprefix("U"))
    )  # fmt: skip
    nodes = [
        ("QuantizeLinear", ["x", "s"], ["q"], {"output_dtype": number}),
        ("DequantizeLinear", ["q", "s"], ["a"]), ("DequantizeLinear", ["w", "s"], ["v"]),
        ("Conv", ["a", "v"], ["y"]),
    ]  # fmt: skip
    constants = {"s": np.float32(0.5), "w": codes.astype(kept)}
    model = make_model(nodes, (3, 3, 3), constants=constants, opset=28)
    network = open_model(model.SerializeToString()).network
    graph = integer_graph(network)
    assert graph.widths == (bits,)
    most = least + (1 << bits) - 1
    x = rng.integers(least - 3, most + 3, (20, 3, 3, 3)).astype(np.float32) / 2
    found = golden.run(graph, input_codes(graph, in_map_order(network, x)), bits).logits
    clipped = np.clip(np.rint(x / 0.5), least, most) * 0.5
    wanted = np.einsum("nchw,ochw->no", clipped, codes * 0.5)
    np.testing.assert_array_equal(found * graph.logit_scales[bits], wanted)


def test_zero_points_without_a_number_are_refused():
    model = qdq_model()
    (zero,) = [each for each in model.graph.initializer if each.name == "a_zero"]
    zero.CopyFrom(numpy_helper.from_array(np.zeros(0, np.float32), "a_zero"))
    with pytest.raises(DownshiftError, match=r"quantizes to float32; uint8, int8"):
        import_graph(model.SerializeToString())


def test_int8_inputs_are_codes():
    rng = np.random.default_rng(1)
    nodes = [("DequantizeLinear", ["x", "s", "z"], ["a"]), ("MatMul", ["a", "w"], ["y"])]
    constants = {
        "s": np.float32(0.25), "z": np.int8(3),
        "w": np.float32([[127, -3, 4, 127]] * 3 + [[-50, 127, -127, 99]] * 3),
    }  # fmt: skip
    model = make_model(nodes, (6,), constants=constants, dtype="int8", opset=21)
    graph = import_graph(model.SerializeToString())
    x = rng.integers(-128, 128, (9, 6)).astype(np.int8)
    real = (x.astype(int) - 3) * 0.25
    codes = input_codes(graph, real.reshape(9, 1, 1, 6))
    np.testing.assert_array_equal(codes.reshape(9, 6), x.astype(int) + 128)
    logits = golden.run(graph, codes, 8).logits * graph.logit_scales[8]
    np.testing.assert_array_equal(logits, reference(model, x))


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"a_scale": np.float32(0)}, "a scale must be positive, not 0"),
        ({"a_scale": np.float32(-1)}, "a scale must be positive, not -1"),
        ({"a_scale": np.float32(np.nan)}, "a scale must be finite numbers"),
        ({"a_scale": np.float32([1, 2, 3])},
         "activations must have one scale, not one of each channel"),
        ({"a_zero": np.int16(3)}, "quantizes to int16; uint8, int8, uint4, int4, uint2, int2 work"),
        ({"w_s": np.float32([1, 2, 0, 1])}, "a scale must be positive, not 0"),
        ({"w_s": np.float32([1, 2])}, "2 parameters do not fit the shape (4, 3, 3, 3)"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be(change, reason):
    model = qdq_model()
    for tensor in model.graph.initializer:
        if tensor.name in change:
            from onnx import numpy_helper

            tensor.CopyFrom(numpy_helper.from_array(change[tensor.name], tensor.name))
    assert translated(model).refused[0].detail == reason


@pytest.mark.parametrize(
    ("limits", "scale", "zero_point", "kept"),
    [
        ((0.0, None), 1 / 16, np.int8(0), (7, None)),
        ((0.0, 6.0), 1 / 16, np.int8(0), (7, 96)),
        ((0.0, 6.0), 1 / 16, np.uint8(0), (7, 96)),
        ((0.0, 10.0), 1 / 16, np.uint8(0), (8, 160)),
        ((0.0, None), 1 / 16, np.uint8(100), (8, 155)),
        ((-1.0, 1.0), 1 / 16, np.int8(-5), (6, 32)),
    ],
)
def test_codes_end_where_limits_and_types_end(limits, scale, zero_point, kept):
    """Scales are powers of two: every code is to be that of the runtime."""
    low, high = limits
    clip = ["p", "low"] if high is None else ["p", "low", "high"]
    rng = np.random.default_rng(0)
    parts = [
        quantized("x", "a", 1 / 16, 0, np.int8),
        stored("w", weights(rng, 4, 3, 1, 1), 2.0**-5),
        [("Conv", ["a", "w"], ["p"]), ("Clip", clip, ["r"])],
        quantized("r", "b", scale, zero_point, zero_point.dtype),
        stored("v", weights(rng, 5, 4, 1, 1), 2.0 ** -np.arange(5, 10.0)),
        [("Conv", ["b", "v"], ["c"])],
        quantized("c", "y", 0.25, 3, np.int8),
    ]
    nodes, constants = [], {"low": np.float32(low), "high": np.float32(high or 0)}
    for part in parts:
        own, more = part if isinstance(part, tuple) else (part, {})
        nodes += own
        constants |= more
    model = make_model(nodes, (3, 4, 4), constants=constants, opset=21)
    model.ir_version = 10
    translation = open_model(model.SerializeToString())
    graph = integer_graph(whole_network(translation))
    first, setting = graph.layers[0], graph.layers[0].settings[8]
    assert (setting.out_width, setting.largest) == kept
    x = np.float32(rng.integers(-128, 128, (50, 3, 4, 4))) / 16
    found = golden.run(graph, input_codes(graph, x.transpose(0, 2, 3, 1)), 8)
    assert found.codes[first.name].max() == setting.out_max
    real = (found.logits * graph.logit_scales[8]).reshape(50, 4, 4, 5).transpose(0, 3, 1, 2)
    codes = np.clip(np.rint(real / 0.25) + 3, -128, 127)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    np.testing.assert_array_equal((codes - 3) * 0.25, session.run(None, {"x": x})[0])
