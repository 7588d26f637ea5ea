"""`downshift energy`: what it prints and refuses; tests/boards/test_switching.py has the rest."""

import json

import numpy as np
import pytest

from downshift.boards import switching as module
from downshift.sim.random_networks import random_network
from downshift.sw.graph.graph_file import save_graph

GRAPH = random_network(np.random.default_rng(3))
ICE40 = ("--board", "icebreaker")


@pytest.fixture
def model(tmp_path):
    save_graph(GRAPH, tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def counted(graph, board, config, x, out, *, widths, progress):
    """A report of made-up figures, and what was asked for."""
    entries = {
        str(width): {
            "cycles": 1000 * width, "relative_cycles": width / 8,
            "toggles": 100_000 * width, "relative_toggles": width / 8,
            "driven_by": dict.fromkeys(module.DRIVERS, 20_000 * width),
            "at_ports_of": dict.fromkeys(module.PORTS, 10 * width),
        }
        for width in widths
    }  # fmt: skip
    return {
        "network": graph.name, "board": board.name, "method": module.METHOD, "frames": len(x),
        "relative_to": max(widths), "nets": dict.fromkeys(module.DRIVERS, 1000), "widths": entries,
    }  # fmt: skip


def test_a_table_and_its_method(run, model, monkeypatch):
    monkeypatch.setattr(module, "switching", counted)
    status, out, _ = run("energy", "mine.safetensors", *ICE40, "--widths", "8,6")
    title, *table, method = out.rstrip().splitlines()
    assert status == 0 and method == module.METHOD
    assert title == "random on icebreaker: an inference, mean of 2 at each width, 5,000 nets"
    assert [line.split()[:5] for line in table if "," in line] == [
        ["8", "8,000", "100.0%", "800,000", "100.0%"],
        ["6", "6,000", "75.0%", "600,000", "75.0%"],
    ]


def test_json(run, model, monkeypatch):
    monkeypatch.setattr(module, "switching", counted)
    status, out, err = run("energy", "mine.safetensors", *ICE40, "--frames", 3, "--json")
    report = json.loads(out)
    assert (status, err) == (0, "")
    assert (list(report["widths"]), report["frames"]) == (["8", "7", "6"], 3)
    assert "no joules" in report["method"]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["mine.safetensors", "--board", "nope"], 1, "no board 'nope'"),
        (
            ["mine.safetensors", "--board", "arty-a7-35"],
            1,
            "There are no models of the cells of xilinx7 to simulate a netlist with; choose a ",
        ),
        (["none.safetensors", *ICE40], 1, "none.safetensors"),
        (["mine.onnx", *ICE40], 1, "run `downshift import` first"),
        (["mine.safetensors", *ICE40, "--widths", "2"], 1, "runs at widths 8, 7, 6, not 2"),
        (["mine.safetensors", *ICE40, "--widths", "9"], 2, "Width must be in 1..8, not 9"),
        (["mine.safetensors", *ICE40, "--frames", "0"], 2, "'--frames'"),
        (["mine.safetensors", *ICE40, "--input", "mine.safetensors"], 1, "is not a .npy file"),
        (["mine.safetensors", *ICE40, "--config", "none.json"], 1, "Cannot read none.json"),
        (["mine.safetensors", *ICE40, "-o", "mine.safetensors/x"], 1, "Cannot write"),
        ([], 2, "Missing argument 'MODEL'"),
    ],
)
def test_mistakes_get_one_sentence(run, model, tmp_path, arguments, status, sentence):
    ended, out, err = run("energy", *arguments)
    assert (ended, out) == (status, "")
    assert err.splitlines()[-1].startswith("downshift: ")
    assert sentence in err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_without_a_compiler(run, model, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    status, out, err = run("energy", "mine.safetensors", *ICE40)
    assert (status, out) == (1, "")
    assert "Simulation needs g++; install it (apt-get install g++)" in err
