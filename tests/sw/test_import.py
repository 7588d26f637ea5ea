import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import make_model, reference, translated, whole_numbers
from quantized_models import qdq_model

from downshift.hw.errors import DownshiftError
from downshift.sim import golden
from downshift.sw.cli import cli
from downshift.sw.graph.graph_file import graph_bytes, load_graph
from downshift.sw.importing.importer import (
    import_graph,
)
from downshift.sw.importing.quantize import input_codes
from downshift.sw.importing.quantizer import Calibration
from downshift.sw.importing.ranges import Range, observed_codes
from downshift.sw.importing.sensitivity import layer_sensitivities


def float_model(seed=3):
    w = whole_numbers((6, 3, 3, 3), seed=seed) / 8
    v = whole_numbers((6, 6, 3, 3), seed=seed + 1) / 16
    fc = whole_numbers((6, 4), seed=seed + 2)
    return make_model(
        [
            ("Conv", ["x", "w"], ["a"], {"pads": [1] * 4}), ("Relu", ["a"], ["b"]),
            ("Conv", ["b", "v"], ["c"], {"pads": [1] * 4}), ("Add", ["c", "b"], ["d"]),
            ("Relu", ["d"], ["e"]), ("GlobalAveragePool", ["e"], ["m"]),
            ("Flatten", ["m"], ["f"]), ("MatMul", ["f", "fc"], ["y"]),
        ],
        (3, 6, 6), constants={"w": w, "v": v, "fc": fc},
    )  # fmt: skip


IMAGES = np.random.default_rng(0).normal(size=(64, 3, 6, 6)).astype(np.float32)


@pytest.mark.parametrize("method", Range)
def test_a_float_file_is_quantized(method):
    model = float_model()
    graph = import_graph(model.SerializeToString(), calibration=IMAGES, method=method)
    assert graph.widths == (8, 6, 4, 2)
    wanted = reference(model, IMAGES)
    codes = input_codes(graph, IMAGES.transpose(0, 2, 3, 1))
    noise = [
        np.mean((golden.run(graph, codes, w).logits * graph.logit_scales[w] - wanted) ** 2)
        / wanted.var()
        for w in graph.widths
    ]
    assert noise[0] < 2e-3
    assert noise == sorted(noise)


@pytest.mark.parametrize("tail", [["BatchNormalization", "Relu"], ["Relu"], []])
def test_joined_channels_keep_what_they_are(tail):
    """Parts below zero, joined, then scaled and clipped: the parts are not."""
    rng = np.random.default_rng(3)
    constants = {
        **{name: rng.normal(size=(4, 3, 3, 3)).astype(np.float32) for name in "uvw"},
        **{name: rng.uniform(0.3, 2, 12).astype(np.float32) for name in ("gain", "variance")},
        **{name: rng.normal(size=12).astype(np.float32) for name in ("shift", "mean")},
        "last": rng.normal(size=(5, 12, 1, 1)).astype(np.float32),
    }
    inputs = {"BatchNormalization": ["gain", "shift", "mean", "variance"], "Relu": []}
    nodes = [("Conv", ["x", name], [f"{name}_map"]) for name in "uvw"]
    nodes += [("Concat", ["u_map", "v_map", "w_map"], ["t0"], {"axis": 1})]
    nodes += [(op, [f"t{k}", *inputs[op]], [f"t{k + 1}"]) for k, op in enumerate(tail)]
    nodes += [("Conv", [f"t{len(tail)}", "last"], ["y"])]
    used = {name for _, given, *_ in nodes for name in given}
    constants = {name: array for name, array in constants.items() if name in used}
    model = make_model(nodes, (3, 6, 6), constants=constants, opset=15)
    x = rng.normal(size=(40, 3, 6, 6)).astype(np.float32)
    graph = import_graph(model.SerializeToString(), calibration=x, assignments={8: 8})
    wanted = reference(model, x).transpose(0, 2, 3, 1).reshape(40, -1)
    logits = golden.run(graph, input_codes(graph, x.transpose(0, 2, 3, 1)), 8).logits
    noise = np.mean((logits * graph.logit_scales[8] - wanted) ** 2) / wanted.var()
    assert noise < 1e-3


def test_bias_correction_keeps_the_mean_of_the_logits():
    model, errors = float_model(), []
    wanted = reference(model, IMAGES).mean(axis=0)
    for each in (True, False):
        graph = import_graph(
            model.SerializeToString(), calibration=IMAGES, assignments={2: 2}, correct_bias=each
        )
        codes = input_codes(graph, IMAGES.transpose(0, 2, 3, 1))
        found = golden.run(graph, codes, 2).logits.mean(axis=0) * graph.logit_scales[2]
        errors.append(abs(found - wanted).max() / graph.logit_scales[2])
    assert errors[0] <= 0.5 < errors[1]


def test_layers_may_have_widths_of_their_own():
    model = float_model()
    graph = import_graph(
        model.SerializeToString(), calibration=IMAGES, assignments={4: {"Conv_2": 2, "Conv_0": 4}}
    )
    assert [layer.settings[4].weight_width for layer in graph.layers] == [4, 2, 8]
    assert [layer.settings[4].out_width for layer in graph.layers] == [4, 2, 32]
    with pytest.raises(
        DownshiftError, match=r"^Network network has no layer 'z'; it has Conv_0 to"
    ):
        import_graph(model.SerializeToString(), calibration=IMAGES, assignments={4: {"z": 2}})


def test_sensitivity_finds_the_layer_that_minds():
    network = translated(float_model()).network
    images = IMAGES.transpose(0, 2, 3, 1)
    found = layer_sensitivities(network, Calibration(images=images), (8, 4, 2))
    assert [each.layer for each in found] == ["Conv_0", "Conv_2", "MatMul_7"]
    assert all(each.noise[4] < each.noise[2] for each in found)
    assert {each.least for each in found} <= {2, 4}


@given(st.integers(1, 8), st.sampled_from(list(Range)), st.integers(0, 99), st.booleans())
def test_codes_reach_from_zero(width, method, seed, positive):
    values = np.random.default_rng(seed).normal(size=500)
    low = 0.0 if positive else -np.inf
    codes = observed_codes(values, low=low, high=np.inf, width=width, method=method)
    assert codes.width == width
    assert codes.zero_point == 0 if positive else 0 <= codes.zero_point < 1 << width


def test_a_calibration_is_asked_for():
    with pytest.raises(DownshiftError) as caught:
        import_graph(float_model().SerializeToString())
    assert str(caught.value) == (
        "The file does not say how 3 of 3 maps are quantized, input among them; give inputs to "
        "calibrate with"
    )
    quantized_file = qdq_model().SerializeToString()
    with pytest.raises(DownshiftError, match=r"^Scales at 2 widths come from data; give inputs"):
        import_graph(quantized_file, assignments={8: 8, 7: 8})
    with pytest.raises(DownshiftError, match=r"^Layer Conv_3 has 8-bit codes in the file; give "):
        import_graph(quantized_file, assignments={4: 4})


@pytest.fixture
def files(tmp_path):
    (tmp_path / "m.onnx").write_bytes(float_model().SerializeToString())
    labels = reference(float_model(), IMAGES).argmax(axis=1)
    np.savez(tmp_path / "x.npz", x=IMAGES, y=labels)
    return tmp_path


def invoke(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)), catch_exceptions=True)


def test_the_command(files):
    done = invoke(
        "import", files / "m.onnx", "-o", files / "g.safetensors", "--calibration",
        files / "x.npz", "--test", files / "x.npz", "--sensitivity", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert load_graph(files / "g.safetensors").widths == (8, 6, 4, 2)
    assert report["layers"] == 3 and report["nodes"] == 8
    assert report["accuracy"]["8"] > 0.9
    assert [each["layer"] for each in report["sensitivity"]] == ["Conv_0", "Conv_2", "MatMul_7"]


def test_the_command_calibrates_as_the_function_does(tmp_path):
    rng = np.random.default_rng(0)
    constants = {"w": np.float32(rng.normal(size=(5, 4, 3, 1)))}
    model = make_model([("Conv", ["x", "w"], ["y"])], (4, 4, 4), constants=constants)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    images = np.float32(rng.normal(size=(64, 4, 4, 4)) * np.arange(1, 5)[:, None, None])
    np.savez(tmp_path / "x.npz", x=images)
    done = invoke(
        "import", tmp_path / "m.onnx", "-o", tmp_path / "g", "--calibration", tmp_path / "x.npz"
    )
    assert done.exit_code == 0, done.output
    wanted = import_graph(tmp_path / "m.onnx", calibration=images)
    assert (tmp_path / "g").read_bytes() == graph_bytes(wanted)


def test_the_command_prints_a_table(files):
    done = invoke(
        "import", files / "m.onnx", "-o", files / "g", "--calibration", files / "x.npz",
        "--widths", "8,4", "--sensitivity",
    )  # fmt: skip
    assert done.output.splitlines()[0] == "m: 8 nodes became 3 layers, 17,520 MACs, widths 8, 4"
    assert "Noise at 4" in done.output


@pytest.mark.parametrize(
    "content, message",
    [
        ({"z": IMAGES}, "holds none of the arrays x, train_x, test_x; save inputs as x"),
        ({"x": IMAGES[:, :2]}, "Inputs must have the shape (n, 3, 6, 6), not (64, 2, 6, 6)"),
        ({"x": IMAGES * np.nan}, "Inputs must be finite numbers, and at least one"),
        ({"x": IMAGES, "y": np.arange(3)}, "holds 3 labels for 64 inputs"),
        ({"x": IMAGES, "y": np.eye(64)}, "must hold one label of each input, integers from 0 on, "),
        ({"x": IMAGES, "y": np.array(["a"] * 64)}, "must hold one label of each input, integers f"),
        ({"x": np.float32(3)}, "must hold inputs of shape (n, …), not ()"),
    ],
)
def test_inputs_that_do_not_fit(files, content, message):
    np.savez(files / "bad.npz", **content)
    done = invoke("import", files / "m.onnx", "-o", files / "g", "--calibration", files / "bad.npz")
    assert isinstance(done.exception, DownshiftError)
    assert message in str(done.exception)
    assert not (files / "g").exists()
