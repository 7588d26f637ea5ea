"""The accelerator compares its memories with what was loaded."""

from dataclasses import replace

import numpy as np
import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sim.bit_flips import BACKDOORS
from downshift.sim.random_networks import random_codes, random_network
from downshift.sim.runner import UART
from downshift.sw.compile.compiler import compile_graph

BRICKS = AcceleratorConfig(
    rows=4, requantizers=1, weight_depth=1024, activation_bytes=8192, parameter_depth=256
)
TABLES = TableConfig(
    segments=3, activation_depth=1024, weight_depth=4096, parameter_depth=1024, sum_depth=64,
    program_depth=2048,
)  # fmt: skip
ENDLESS = {BRICKS: (62, 8), TABLES: (17, 18)}
"""Word and bit that make a count of this network's program as good as endless."""


STYLES = [pytest.param(BRICKS, id="bricks"), pytest.param(TABLES, id="tables")]
LONG = [STYLES[0], pytest.param(TABLES, id="tables", marks=pytest.mark.slow)]
"""Styles, where waiting for one of tables takes minutes."""


@pytest.fixture(scope="module")
def simulation(simulator, request):
    return simulator(request.param, replace(UART, backdoors=BACKDOORS[type(request.param)]))


@pytest.fixture
def network(simulation, tmp_path):
    """An image, files of it and an input, and the logits."""
    rng = np.random.default_rng(1)
    graph = random_network(rng, tables=isinstance(simulation.config, TableConfig))
    x = random_codes(rng, graph, 1)
    image = compile_graph(graph, simulation.config)
    (tmp_path / "model.img").write_bytes(image.to_bytes())
    np.save(tmp_path / "x.npy", x[0])
    files = {"image": str(tmp_path / "model.img"), "inputs": str(tmp_path / "x.npy")}
    return image, files, golden.run(graph, x, graph.widths[0]).logits[0].tolist()


@pytest.mark.parametrize("simulation", LONG, indirect=True)
def test_a_frame_that_does_not_end_is_given_up(simulation, tmp_path, network):
    _, files, logits = network
    flip = ("program", *ENDLESS[simulation.config])
    found = simulation.run("downshift.sim.bit_flips:hung_frame", files | {"flip": flip}, tmp_path)
    assert found == {"errors": ["HUNG"] * 3, "found": ["program"], "logits": logits}


@pytest.mark.parametrize("simulation", STYLES, indirect=True)
def test_a_single_flipped_bit_is_found(simulation, tmp_path, network):
    image, files, logits = network
    flips = []
    for section, content in image.sections().items():
        store = section.name.lower()
        word_bytes, _ = image.config.regions[section]
        last = len(content) // word_bytes - 1
        flips += [(store, 0, 0), (store, last, 8 * word_bytes - 1), (store, last // 2, 11)]
    found = simulation.run(
        "downshift.sim.bit_flips:flipped_bits", files | {"flips": flips}, tmp_path
    )
    assert found["before"] == []
    for (store, _, _), result in zip(flips, found["flips"], strict=True):
        assert result["found"] == [store]
        assert result["then"] == "NO_IMAGE"
        assert result["logits"] == logits
        assert result["after"] == []
    assert found["claims"] == {
        "logits beyond the memory": "BAD_ADDRESS",
        "data without a section": "BAD_ADDRESS",
        "another section": "BAD_CHECKSUM",
        "no section": "BAD_ADDRESS",
        "beyond the memory": "BAD_ADDRESS",
        "data behind it": "BAD_ADDRESS",
    }
    assert found["logits"] == logits
