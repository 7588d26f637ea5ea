"""Files that onnxruntime's own quantizer writes, judged by onnxruntime."""

import numpy as np
import onnxruntime
import pytest
from onnx_models import make_model, translated, whole_numbers
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from downshift.sim import golden
from downshift.sw.importing.importer import (
    import_graph,
    integer_graph,
    open_model,
    whole_network,
)
from downshift.sw.importing.onnx_file import read_onnx
from downshift.sw.importing.quantize import input_codes
from downshift.sw.importing.translate import translate

X = np.random.default_rng(0).normal(size=(60, 3, 8, 8)).astype(np.float32)


class Reader(CalibrationDataReader):
    def __init__(self):
        self.rows = iter(X)

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {"x": row[None]}


def float_model():
    constants = {
        "w": whole_numbers((8, 3, 3, 3), seed=1) / 16, "b": whole_numbers((8,), seed=2) / 8,
        "v": whole_numbers((8, 8, 3, 3), seed=3) / 32, "fc": whole_numbers((8, 5), seed=4) / 8,
        "one": whole_numbers((5,), seed=5) / 8, "d": whole_numbers((8, 1, 3, 3), seed=6) / 8,
    }  # fmt: skip
    nodes = [
        ("Conv", ["x", "w", "b"], ["c0"], {"pads": [1] * 4}), ("Relu", ["c0"], ["r0"]),
        ("Conv", ["r0", "v"], ["c1"], {"pads": [1] * 4}), ("Add", ["c1", "r0"], ["a"]),
        ("Relu", ["a"], ["r1"]),
        ("Conv", ["r1", "d"], ["c2"], {"group": 8, "strides": [2, 2], "pads": [0, 0, 1, 1]}),
        ("Relu", ["c2"], ["r2"]), ("GlobalAveragePool", ["r2"], ["m"]),
        ("Flatten", ["m"], ["f"]), ("Gemm", ["f", "fc", "one"], ["y"]),
    ]  # fmt: skip
    model = make_model(nodes, (3, 8, 8), constants=constants, opset=17)
    model.ir_version = 8
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", [QuantType.QInt8, QuantType.QUInt8])
@pytest.mark.parametrize("form", list(QuantFormat))
def test_files_of_the_runtimes_quantizer(tmp_path, form, kind, per_channel):
    (tmp_path / "f.onnx").write_bytes(float_model().SerializeToString())
    quantize_static(
        str(tmp_path / "f.onnx"), str(tmp_path / "q.onnx"), Reader(), quant_format=form,
        activation_type=kind, weight_type=QuantType.QInt8, per_channel=per_channel,
    )  # fmt: skip
    graph = import_graph(tmp_path / "q.onnx")
    model = translate(read_onnx(tmp_path / "q.onnx"))
    assert {"QLinearConv"} <= {fate.op for fate in model.fates} or form is QuantFormat.QDQ
    wanted = onnxruntime.InferenceSession(str(tmp_path / "q.onnx")).run(None, {"x": X})[0]
    codes = input_codes(graph, X.transpose(0, 2, 3, 1))
    found = golden.run(graph, codes, 8).logits * graph.logit_scales[8]
    # The runtime rounds the logits to codes, and before it adds maps it rounds what it adds.
    scale = model.network.output_codes.scale
    away = np.abs(np.rint(found / scale) - np.rint(wanted / scale))
    assert away.max() <= 1
    assert (away == 0).mean() >= 0.99
    assert graph.multiplier_width == 24


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", list(QuantFormat))
def test_joined_channels_of_the_runtimes_quantizer(tmp_path, form):
    constants = {
        "u": whole_numbers((4, 3, 3, 3), seed=1) / 16,
        "v": whole_numbers((6, 3, 3, 3), seed=2) / 32,
        "w": whole_numbers((5, 10, 1, 1), seed=3) / 8,
    }  # fmt: skip
    nodes = [
        ("Conv", ["x", "u"], ["a"]), ("Conv", ["x", "v"], ["b"]), ("Relu", ["b"], ["r"]),
        ("Concat", ["a", "r"], ["c"], {"axis": 1}), ("Relu", ["c"], ["s"]),
        ("Conv", ["s", "w"], ["d"]), ("GlobalAveragePool", ["d"], ["m"]),
        ("Flatten", ["m"], ["y"]),
    ]  # fmt: skip
    model = make_model(nodes, (3, 8, 8), constants=constants, opset=17)
    model.ir_version = 8
    (tmp_path / "f.onnx").write_bytes(model.SerializeToString())
    quantize_static(
        str(tmp_path / "f.onnx"), str(tmp_path / "q.onnx"), Reader(), quant_format=form,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    translated = open_model(tmp_path / "q.onnx")
    assert form is QuantFormat.QDQ or "QLinearConcat" in {fate.op for fate in translated.fates}
    graph = integer_graph(whole_network(translated))
    wanted = onnxruntime.InferenceSession(str(tmp_path / "q.onnx")).run(None, {"x": X})[0]
    codes = input_codes(graph, X.transpose(0, 2, 3, 1))
    scale = translated.network.output_codes.scale
    found = golden.run(graph, codes, 8).logits * graph.logit_scales[8]
    away = np.abs(np.rint(found / scale) - np.rint(wanted / scale))
    # Only ties of the mean go the other way.
    assert away.max() <= 1
    assert (away == 0).mean() >= 0.99


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("form", list(QuantFormat))
@pytest.mark.parametrize(
    ("nodes", "ops"),
    [
        ([("Conv", ["x", "u"], ["a"]), ("Relu", ["a"], ["r"]),
          ("MaxPool", ["r"], ["p"], {"kernel_shape": [3, 3], "pads": [1] * 4}),
          ("Conv", ["p", "w"], ["y"])], {"QLinearConv"}),
        ([("Conv", ["x", "u"], ["a"]), ("Relu", ["a"], ["r"]),
          ("AveragePool", ["r"], ["p"], {"kernel_shape": [3, 3], "pads": [0] * 4}),
          ("Conv", ["p", "w"], ["y"])], {"QLinearAveragePool"}),
        ([("Conv", ["x", "u"], ["a"]), ("Relu", ["a"], ["r"]), ("Add", ["r", "k"], ["s"]),
          ("Conv", ["s", "w"], ["y"])], {"QLinearAdd"}),
    ],
    ids=["padded pool", "average pool", "constant added"],
)  # fmt: skip
def test_symmetric_codes_after_a_relu(tmp_path, nodes, ops, form, per_channel):
    constants = {
        "u": whole_numbers((4, 3, 3, 3), seed=1) / 16, "w": whole_numbers((5, 4, 1, 1), seed=3) / 8,
        "k": whole_numbers((4, 1, 1), seed=2) / 8,
    }  # fmt: skip
    used = {name for _, inputs, *_ in nodes for name in inputs}
    constants = {name: array for name, array in constants.items() if name in used}
    model = make_model(nodes, (3, 8, 8), constants=constants, opset=17)
    model.ir_version = 8
    (tmp_path / "f.onnx").write_bytes(model.SerializeToString())
    quantize_static(
        str(tmp_path / "f.onnx"), str(tmp_path / "q.onnx"), Reader(), quant_format=form,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, per_channel=per_channel,
        extra_options={"ActivationSymmetric": True},
    )  # fmt: skip
    translated = open_model(tmp_path / "q.onnx")
    assert form is QuantFormat.QDQ or ops <= {fate.op for fate in translated.fates}
    network = whole_network(translated)
    graph = integer_graph(network)
    wanted = onnxruntime.InferenceSession(str(tmp_path / "q.onnx")).run(None, {"x": X})[0]
    codes = input_codes(graph, X.transpose(0, 2, 3, 1))
    real = golden.run(graph, codes, 8).logits * graph.logit_scales[8]
    real = real.reshape(len(X), *network.layers[-1].shape).transpose(0, 3, 1, 2)
    scale = network.output_codes.scale
    if "k" in used:
        # The constant is a bias in 64ths of a code, rounded: a few codes of the sum are one off.
        away = np.abs(np.rint(real / scale) - np.rint(wanted / scale))
        assert away.max() <= 1
        assert (away == 0).mean() >= 0.99
    else:
        np.testing.assert_array_equal(np.rint(real / scale), np.rint(wanted / scale))


@pytest.mark.filterwarnings("ignore")
def test_a_softmax_of_codes_ends_the_network(tmp_path):
    nodes = [("Conv", ["x", "w"], ["c"]), ("GlobalAveragePool", ["c"], ["m"]),
             ("Flatten", ["m"], ["f"]), ("Softmax", ["f"], ["y"])]  # fmt: skip
    constants = {"w": whole_numbers((5, 3, 3, 3), seed=1) / 16}
    model = make_model(nodes, (3, 8, 8), constants=constants, opset=17)
    model.ir_version = 8
    (tmp_path / "f.onnx").write_bytes(model.SerializeToString())
    quantize_static(
        str(tmp_path / "f.onnx"), str(tmp_path / "q.onnx"), Reader(),
        quant_format=QuantFormat.QOperator,
    )  # fmt: skip
    translated = open_model(tmp_path / "q.onnx")
    assert "QLinearSoftmax" in {fate.op for fate in translated.fates}
    graph = integer_graph(whole_network(translated))
    shares = onnxruntime.InferenceSession(str(tmp_path / "q.onnx")).run(None, {"x": X})[0]
    logits = golden.run(graph, input_codes(graph, X.transpose(0, 2, 3, 1)), 8).logits
    # Where one share is above all others, it is that of the largest logit.
    ranked = np.sort(shares, axis=1)
    clear = ranked[:, -1] > ranked[:, -2]
    assert clear.sum() > 30
    np.testing.assert_array_equal(logits.argmax(axis=1)[clear], shares.argmax(axis=1)[clear])


@pytest.mark.filterwarnings("ignore")
def test_scales_that_come_at_run_time_are_refused(tmp_path):
    (tmp_path / "f.onnx").write_bytes(float_model().SerializeToString())
    quantize_dynamic(str(tmp_path / "f.onnx"), str(tmp_path / "q.onnx"))
    first = translate(read_onnx(tmp_path / "q.onnx")).refused[0]
    assert first.op == "DynamicQuantizeLinear"
    assert first.detail.endswith("quantize activations with fixed scales")


@pytest.mark.parametrize("bias", [False, True])
def test_sums_of_integers(bias):
    rng = np.random.default_rng(2)
    nodes = [
        ("QuantizeLinear", ["x", "s", "z"], ["q"]), ("ConvInteger", ["q", "w", "z"], ["c"]),
        *([("Add", ["c", "b"], ["d"])] if bias else [("Identity", ["c"], ["d"])]),
        ("Cast", ["d"], ["e"], {"to": 1}), ("Mul", ["e", "t"], ["f"]), ("Relu", ["f"], ["r"]),
        ("QuantizeLinear", ["r", "s", "z"], ["p"]), ("Flatten", ["p"], ["g"]),
        ("MatMulInteger", ["g", "v", "z"], ["h"]), ("Cast", ["h"], ["y"], {"to": 1}),
    ]  # fmt: skip
    constants = {
        "s": np.float32(0.25), "z": np.uint8(0), "t": np.float32(2.0**-7),
        "w": rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8),
        "v": rng.integers(-127, 128, (144, 3)).astype(np.int8),
    }  # fmt: skip
    if bias:
        constants["b"] = rng.integers(-900, 900, (1, 4, 1, 1)).astype(np.int32)
    model = make_model(nodes, (3, 8, 8), constants=constants, opset=17)
    model.ir_version = 8
    x = np.abs(whole_numbers((9, 3, 8, 8)))
    graph = import_graph(model.SerializeToString())
    logits = golden.run(graph, input_codes(graph, x.transpose(0, 2, 3, 1)), 8).logits
    session = onnxruntime.InferenceSession(model.SerializeToString())
    wanted = session.run(None, {"x": x})[0]
    np.testing.assert_array_equal(logits * graph.logit_scales[8], wanted)


def test_another_zero_point_is_refused():
    nodes = [("QuantizeLinear", ["x", "s", "z"], ["q"]), ("ConvInteger", ["q", "w", "o"], ["y"])]
    constants = {
        "s": np.float32(0.25), "z": np.uint8(0), "o": np.uint8(7), "w": np.ones((4, 3, 3, 3), "i1"),
    }  # fmt: skip
    fates = translated(make_model(nodes, (3, 8, 8), constants=constants)).refused
    assert fates[0].detail == "takes off another zero point than its input was quantized with"
