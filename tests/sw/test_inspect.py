import json

import pytest

from downshift.sw.compile.image import Image
from downshift.sw.graph.graph_file import load_graph, save_graph

LAYERS = ["Conv_0", "Conv_2", "Conv_5", "MatMul_9"]


@pytest.fixture
def exported(run, tmp_path, lowered):
    save_graph(lowered, tmp_path / "g.safetensors")
    run("export", tmp_path / "g.safetensors", "--tables", "-o", tmp_path / "model")
    return tmp_path / "model"


def test_an_image(run, exported):
    status, printed, _ = run("inspect", exported / "model.img", "--json")
    report, image = json.loads(printed), Image.load(exported / "model.img")
    assert status == 0
    assert (report["format"], report["version"], report["network"]) == ("image", 1, "network")
    assert report["fingerprint"] == f"{image.config.fingerprint:08x}"
    sizes = {entry["section"]: entry["bytes"] for entry in report["sections"]}
    assert sizes["weights"] == len(image.weights)
    last = report["sections"][-1]
    assert last["offset"] + last["bytes"] == (exported / "model.img").stat().st_size
    assert [entry["map"] for entry in report["maps"]] == ["input", *LAYERS]
    _, printed, _ = run("inspect", exported / "model.img")
    assert "parameters" in printed


def test_an_integer_graph_agrees_with_its_image(run, exported):
    _, printed, _ = run("inspect", exported / "model.safetensors", "--json")
    graph, report = load_graph(exported / "model.safetensors"), json.loads(printed)
    assert (report["version"], report["widths"]) == (6, [8, 6, 4, 2])
    assert [layer["layer"] for layer in report["layers"]] == LAYERS
    assert report["weight_bytes"] == graph.weight_bytes
    assert report["multiplier_width"] == graph.multiplier_width == 16
    _, printed, _ = run("inspect", exported / "model.img", "--json")
    image = json.loads(printed)
    assert (image["network"], image["widths"]) == (report["network"], report["widths"])
    assert (image["macs"], image["input_scale"]) == (report["macs"], report["input_scale"])
    assert image["input_offset"] == report["input_offset"]
    _, printed, _ = run("inspect", exported / "model.safetensors")
    assert "2/2/32" in printed


@pytest.mark.parametrize("name", ["model.img", "model.safetensors"])
def test_damage_is_found(run, exported, name):
    content = bytearray((exported / name).read_bytes())
    content[-40] ^= 4
    (exported / name).write_bytes(content)
    status, printed, errors = run("inspect", exported / name)
    assert (status, printed) == (1, "")
    assert errors.count("\n") == 1


def test_other_files(run, tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    status, _, errors = run("inspect", tmp_path / "a.txt")
    assert status == 1
    assert "not a safetensors file" in errors
    status, _, errors = run("inspect", tmp_path / "none.img")
    assert status == 1
    assert errors.startswith("downshift: Cannot read image ")
