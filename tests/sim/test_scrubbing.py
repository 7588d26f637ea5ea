"""The accelerator compares its memories with what was loaded."""

from dataclasses import replace

import numpy as np
import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.sim import golden
from downshift.sim.bit_flips import STORES
from downshift.sim.random_networks import random_codes, random_network
from downshift.sim.runner import UART
from downshift.sw.compile.compiler import compile_graph

CONFIG = AcceleratorConfig(
    rows=4, requantizers=1, weight_depth=1024, activation_bytes=8192, parameter_depth=256
)
BACKDOORS = tuple((f"*engine.{store}", "memory") for store in STORES)


@pytest.fixture(scope="module")
def simulation(simulator):
    return simulator(CONFIG, replace(UART, backdoors=BACKDOORS))


@pytest.fixture
def network(tmp_path):
    """An image, files of it and an input, and the logits."""
    rng = np.random.default_rng(1)
    graph = random_network(rng)
    x = random_codes(rng, graph, 1)
    image = compile_graph(graph, CONFIG)
    (tmp_path / "model.img").write_bytes(image.to_bytes())
    np.save(tmp_path / "x.npy", x[0])
    files = {"image": str(tmp_path / "model.img"), "inputs": str(tmp_path / "x.npy")}
    return image, files, golden.run(graph, x, graph.widths[0]).logits[0].tolist()


def test_a_frame_that_does_not_end_is_given_up(simulation, tmp_path, network):
    _, files, logits = network
    # The bit makes a count of this network's program as good as endless.
    found = simulation.run(
        "downshift.sim.bit_flips:hung_frame", files | {"flip": ("program", 64, 28)}, tmp_path
    )
    assert found == {"errors": ["HUNG", "HUNG"], "found": ["program"], "logits": logits}


def test_a_single_flipped_bit_is_found(simulation, tmp_path, network):
    image, files, logits = network
    flips = []
    for section, content in image.sections().items():
        store = section.name.lower()
        word_bytes, _ = CONFIG.regions[section]
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
