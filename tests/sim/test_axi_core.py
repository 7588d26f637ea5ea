"""The IP core behind AXI4-Lite and AXI4-Stream, with stalls on every channel."""

import numpy as np
import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.hw.protocol import ALL_FEATURES, IMAGE_FORMAT, Feature
from downshift.hw.register_map import IDENTITY, MAP_BYTES, MAP_VERSION, REGISTERS
from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sim.axi_bench import STALLS_VARIABLE
from downshift.sim.cycles import cycles
from downshift.sim.random_networks import random_case, random_codes, random_network
from downshift.sim.runner import AXI
from downshift.sim.verify import verify
from downshift.sw.compile.compiler import compile_graph

BRICKS = AcceleratorConfig(
    rows=4, requantizers=1, weight_depth=1024, activation_bytes=8192, parameter_depth=512
)
TABLES = TableConfig(
    segments=3, activation_depth=1024, weight_depth=2560, parameter_depth=1024, sum_depth=64,
    program_depth=1024,
)  # fmt: skip
SEEDS = range(1, 6)


@pytest.fixture(scope="module")
def bricks(simulator):
    return simulator(BRICKS, AXI)


def equals_golden(simulation, cases, folder):
    for case, reports in zip(cases, verify(simulation, cases, folder), strict=True):
        for width, report in reports.items():
            assert report.mismatches == 0
            assert report.logits_compared > 0
            assert set(report.cycles) == {cycles(case.image, width).total}


@pytest.mark.parametrize("stalls", [0, 0.1, 0.6])
def test_frames_equal_golden(bricks, tmp_path, monkeypatch, stalls):
    monkeypatch.setenv(STALLS_VARIABLE, str(stalls))
    equals_golden(bricks, [random_case(seed, BRICKS) for seed in SEEDS], tmp_path)


@pytest.mark.slow
def test_frames_of_the_table_style_equal_golden(simulator, tmp_path, monkeypatch):
    monkeypatch.setenv(STALLS_VARIABLE, "0.3")
    cases = [random_case(seed, TABLES, images=1) for seed in SEEDS]
    equals_golden(simulator(TABLES, AXI), cases, tmp_path)


def test_registers_keep_what_is_written(bricks, tmp_path):
    found = bricks.run("downshift.sim.axi_faults:registers", {}, tmp_path)
    values = {entry.name: entry.reset for entry in REGISTERS} | {
        "ID": IDENTITY,
        "VERSION": MAP_VERSION | IMAGE_FORMAT << 8 | (ALL_FEATURES & ~Feature.QUEUE) << 16,
        "FINGERPRINT": BRICKS.fingerprint,
    }
    assert found["values"] == values
    kept = {entry.name: entry.mask for entry in REGISTERS if entry.access == "read-write"}
    assert found["kept"] == kept
    assert found["one_byte"] == {name: mask & 0xFFFF00FF for name, mask in kept.items()}
    nothing = [k for k in range(0, MAP_BYTES, 4) if k not in {e.offset for e in REGISTERS}]
    assert found["refused_reads"] == nothing
    fixed = [entry.offset for entry in REGISTERS if entry.access == "read-only"]
    assert found["refused_writes"] == sorted(nothing + fixed)


def test_wrong_commands_are_refused(bricks, tmp_path, monkeypatch):
    monkeypatch.setenv(STALLS_VARIABLE, "0.2")
    found = bricks.run("downshift.sim.axi_faults:wrong_commands", {}, tmp_path)
    assert found["errors"] == {
        "unknown command": "UNKNOWN_COMMAND",
        "read too long": "BAD_LENGTH",
        "read beyond": "BAD_ADDRESS",
        "run without an image": "NO_IMAGE",
        "section without an image": "BAD_ADDRESS",
        "too many logits": "BAD_LENGTH",
        "other format": "WRONG_FORMAT",
        "other configuration": "WRONG_CONFIGURATION",
        "command while busy": "refused",
        "the one that was busy": "NONE",
    }
    assert found["interrupts"] == [0, 1, 0]
    assert found["read"] == [1, 2]


@pytest.fixture
def files(tmp_path):
    """A network, an input, and both as files."""
    rng = np.random.default_rng(1)
    graph = random_network(rng)
    x = random_codes(rng, graph, 1)
    (tmp_path / "model.img").write_bytes(compile_graph(graph, BRICKS).to_bytes())
    np.save(tmp_path / "x.npy", x[0])
    logits = golden.run(graph, x, graph.widths[0]).logits[0].tolist()
    return {"image": str(tmp_path / "model.img"), "inputs": str(tmp_path / "x.npy")}, logits


def test_wrong_bytes_go_nowhere(bricks, tmp_path, files):
    paths, logits = files
    found = bricks.run("downshift.sim.axi_faults:wrong_bytes", paths, tmp_path)
    assert found["errors"] == {
        "data without a section": "BAD_ADDRESS",
        "write beyond": "BAD_ADDRESS",
        "run after a reset": "NO_IMAGE",
    }
    assert found["memory"] == ["abc", "first", "third"]
    assert found["logits"] == logits


def test_bad_images_are_refused(bricks, tmp_path, files):
    paths, logits = files
    found = bricks.run("downshift.sim.link_faults:damaged_images", paths, tmp_path)
    for name in ("flipped bit", "truncated"):
        assert (found[name]["error"], found[name]["run"]) == ("BAD_CHECKSUM", "NO_IMAGE")
    assert found["other configuration"]["error"] == "WRONG_CONFIGURATION"
    assert found["missing width"]["error"] == "NO_WIDTH"
    assert found["good"]["logits"] == found["good still"]["logits"] == logits
