import json

import numpy as np
import pytest
from click.testing import CliRunner
from onnx_models import make_model, translated, whole_numbers
from tiny_graph import make_graph

from downshift import boards
from downshift.sim import golden
from downshift.sw.cli import cli
from downshift.sw.graph.graph_file import save_graph
from downshift.sw.graph.sum_bounds import sum_bounds
from downshift.sw.importing.importer import import_graph
from downshift.sw.importing.quantize import input_codes
from downshift.sw.importing.quantizer import Calibration, Quantizer


def invoke(*arguments):
    return CliRunner().invoke(
        cli, list(map(str, arguments)), catch_exceptions=False, standalone_mode=False
    )


def model(*more):
    constants = {"w": whole_numbers((4, 3, 3, 3)), "v": whole_numbers((64, 5))}
    nodes = [("Conv", ["x", "w"], ["a"]), ("Relu", ["a"], ["b"]), *more]
    nodes += [("Flatten", [nodes[-1][2][0]], ["f"]), ("MatMul", ["f", "v"], ["y"])]
    return make_model(nodes, (3, 6, 6), constants=constants)


def test_a_network_that_can_be_run(tmp_path):
    (tmp_path / "m.onnx").write_bytes(model().SerializeToString())
    done = invoke("check", tmp_path / "m.onnx", "--json")
    report = json.loads(done.output)
    assert done.return_value == 0
    assert [node["outcome"] for node in report["nodes"]] == [
        "supported", "folded", "folded", "supported",
    ]  # fmt: skip
    assert (report["parameters"], report["macs"]) == (4 * 27 + 64 * 5, 16 * 4 * 27 + 64 * 5)
    assert [layer["output"] for layer in report["layers"]] == [[4, 4, 4], [1, 1, 5]]
    (board,) = (each for each in report["boards"] if each["board"] == "ulx3s-85f")
    assert board["fits"]
    used, there = board["memory"]["weights"]
    assert 0 < used < there
    assert invoke("check", tmp_path / "m.onnx").output.endswith("All 4 nodes are supported\n")


def test_a_node_that_cannot_be_run(tmp_path):
    (tmp_path / "m.onnx").write_bytes(model(("Sigmoid", ["b"], ["c"])).SerializeToString())
    done = invoke("check", tmp_path / "m.onnx", "--json")
    report = json.loads(done.output)
    assert done.return_value == 1
    assert [node["outcome"] for node in report["nodes"]][:3] == ["supported", "folded", "refused"]
    assert report["nodes"][2]["detail"].startswith("Sigmoid is not supported; at the end")
    assert "3 of 5 nodes are refused" in invoke("check", tmp_path / "m.onnx").output


def test_a_network_that_no_board_holds(tmp_path):
    constants = {"w": whole_numbers((900, 900))}
    big = make_model([("MatMul", ["x", "w"], ["y"])], (900,), constants=constants)
    (tmp_path / "m.onnx").write_bytes(big.SerializeToString())
    report = json.loads(invoke("check", tmp_path / "m.onnx", "--json").output)
    names = [board["board"] for board in report["boards"]]
    assert {*boards.names()} < {*names} and "ulx3s-85f --tables" in names
    assert not any(board["fits"] for board in report["boards"])
    assert all("too few" in board["reason"] for board in report["boards"])


def test_memory_is_that_of_all_widths_that_an_import_makes(tmp_path):
    constants = {"w": whole_numbers((8, 3, 3, 3)), "v": whole_numbers((5, 8, 1, 1))}
    nodes = [("Conv", ["x", "w"], ["a"]), ("Relu", ["a"], ["r"]), ("Conv", ["r", "v"], ["y"])]
    model = make_model(nodes, (3, 8, 8), constants=constants)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    images = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    save_graph(import_graph(tmp_path / "m.onnx", calibration=images), tmp_path / "m.safetensors")
    before, after = (
        json.loads(invoke("check", tmp_path / name, "--json").output)["boards"]
        for name in ("m.onnx", "m.safetensors")
    )
    assert [entry["memory"] for entry in before] == [entry["memory"] for entry in after]
    assert before[0]["memory"] is not None


def test_an_integer_graph(tmp_path):
    save_graph(make_graph(), tmp_path / "g.safetensors")
    report = json.loads(invoke("check", tmp_path / "g.safetensors", "--json").output)
    assert [layer["name"] for layer in report["layers"]] == ["conv", "depth", "fc"]


@pytest.mark.parametrize("residual", [False, True])
def test_bounds_hold_what_codes_give(residual):
    more = [("Conv", ["b", "one"], ["c"]), ("Add", ["c", "b"], ["y"])] if residual else []
    nodes = [("Conv", ["x", "w"], ["a"]), ("Relu", ["a"], ["b"]), *more]
    constants = {"w": whole_numbers((4, 3, 3, 3)), "one": whole_numbers((4, 4, 1, 1), seed=1)}
    nodes += [("GlobalAveragePool", [nodes[-1][2][0]], ["m"])]
    images = np.random.default_rng(0).normal(size=(8, 3, 6, 6))
    onnx = make_model(nodes, (3, 6, 6), constants=constants, outputs=("m",))
    graph = import_graph(onnx.SerializeToString(), calibration=images)
    for width in graph.widths:
        logits = golden.run(graph, input_codes(graph, images.transpose(0, 2, 3, 1)), width).logits
        least, largest = sum_bounds(graph, graph.layers[-1], width)
        assert least <= logits.min() <= logits.max() <= largest


def test_channels_without_weights_keep_their_biases():
    w = whole_numbers((4, 3, 3, 3)).astype(np.float32)
    w[1] *= 1e-20
    w[2] = 0
    constants = {"w": w, "b": np.float32([1, 7, 9, -3]), "v": whole_numbers((4, 4, 1, 1), seed=2)}
    nodes = [
        ("Conv", ["x", "w", "b"], ["a"]), ("Relu", ["a"], ["r"]), ("Conv", ["r", "v"], ["c"]),
        ("Add", ["c", "r"], ["s"]), ("Relu", ["s"], ["y"]),
    ]  # fmt: skip
    images = np.random.default_rng(0).normal(size=(8, 3, 6, 6))
    onnx, maps = make_model(nodes, (3, 6, 6), constants=constants), images.transpose(0, 2, 3, 1)
    graph = import_graph(onnx.SerializeToString(), calibration=images)
    codes = golden.run(graph, input_codes(graph, maps), 8).codes["Conv_0"]
    run = Quantizer(translated(onnx).network, Calibration(images=maps)).run(8, 8)
    assert (codes[..., 1:3] == np.rint(np.array([7, 9]) / run.codes["Conv_0"].scale)).all()
