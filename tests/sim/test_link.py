"""Bad requests and bad images, through the host link of the simulated accelerator."""

import numpy as np
import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.hw.protocol import ERROR_SENTENCES, LinkError
from downshift.sim import golden
from downshift.sim.random_networks import random_codes, random_network
from downshift.sw.compile.compiler import compile_graph

CONFIG = AcceleratorConfig(
    rows=4, requantizers=1, weight_depth=1024, activation_bytes=8192, parameter_depth=512
)
REQUESTS = {
    "flipped bit": "BAD_FRAME",
    "cut short": "BAD_FRAME",
    "doubled byte": "BAD_FRAME",
    "garbage": "BAD_FRAME",
    "escape at the end": "BAD_FRAME",
    "too long": "TOO_LONG",
    "one byte": "BAD_LENGTH",
    "unknown command": "UNKNOWN_COMMAND",
    "argument missing": "BAD_LENGTH",
    "argument too many": "BAD_LENGTH",
    "read beyond memory": "BAD_ADDRESS",
    "write beyond memory": "BAD_ADDRESS",
    "data without a section": "BAD_ADDRESS",
    "section without an image": "BAD_ADDRESS",
    "check without a section": "BAD_CHECKSUM",
    "run without an image": "NO_IMAGE",
    "other format": "WRONG_FORMAT",
    "other configuration": "WRONG_CONFIGURATION",
    "garbage before a request": "NONE",
}


@pytest.fixture(scope="module")
def simulation(simulator):
    return simulator(CONFIG)


def test_bad_requests_are_refused_and_the_next_one_works(simulation, tmp_path):
    results = simulation.run("downshift.sim.link_faults:damaged_requests", {}, tmp_path)
    assert {name: result["error"] for name, result in results.items()} == REQUESTS
    assert all(result["alive"] for result in results.values())


def test_bad_images_are_refused_and_the_next_one_works(simulation, tmp_path):
    rng = np.random.default_rng(1)
    graph = random_network(rng)
    x = random_codes(rng, graph, 1)
    (tmp_path / "model.img").write_bytes(compile_graph(graph, CONFIG).to_bytes())
    np.save(tmp_path / "x.npy", x[0])
    files = {"image": str(tmp_path / "model.img"), "inputs": str(tmp_path / "x.npy")}
    results = simulation.run("downshift.sim.link_faults:damaged_images", files, tmp_path)

    for name, error in {
        "flipped bit": LinkError.BAD_CHECKSUM,
        "truncated": LinkError.BAD_CHECKSUM,
        "other configuration": LinkError.WRONG_CONFIGURATION,
    }.items():
        assert results[name]["error"] == error.name
        assert ERROR_SENTENCES[error] in results[name]["sentence"]
        assert results[name]["run"] == "NO_IMAGE"
    assert results["missing width"]["error"] == "NO_WIDTH"
    logits = golden.run(graph, x, graph.widths[0]).logits[0].tolist()
    assert results["good"]["logits"] == results["good still"]["logits"] == logits


def test_a_request_that_comes_again_is_done_once(simulation, tmp_path):
    rng = np.random.default_rng(1)
    graph = random_network(rng)
    x = random_codes(rng, graph, 2)
    (tmp_path / "model.img").write_bytes(compile_graph(graph, CONFIG).to_bytes())
    np.save(tmp_path / "x.npy", x)
    files = {"image": str(tmp_path / "model.img"), "inputs": str(tmp_path / "x.npy")}
    results = simulation.run("downshift.sim.link_faults:repeated_requests", files, tmp_path)
    first, second = golden.run(graph, x, graph.widths[0]).logits.tolist()
    assert first != second
    assert results["logits"].pop("anew") == second
    assert set(map(tuple, results["logits"].values())) == {tuple(first)}
    assert results["errors"] == ["NO_WIDTH"] * 3


def test_a_reset_in_mid_frame_leaves_nothing(simulation, check_resets):
    check_resets(simulation, random_network(np.random.default_rng(1)))


@pytest.mark.parametrize(
    ("frames", "rate", "batch"),
    [
        (40, 0.01, 1),
        (240, 0.0005, 8),
        pytest.param(10_000, 0.01, 1, marks=pytest.mark.slow),
        pytest.param(10_000, 0.001, 8, marks=pytest.mark.slow),
    ],
)
def test_a_bad_line_never_gives_a_wrong_answer(simulation, tmp_path, frames, rate, batch):
    rng = np.random.default_rng(2)
    graph = random_network(rng)
    x = random_codes(rng, graph, 5)
    (tmp_path / "model.img").write_bytes(compile_graph(graph, CONFIG).to_bytes())
    logits = {str(width): golden.run(graph, x, width).logits for width in graph.widths}
    np.savez(tmp_path / "inputs.npz", x=x, **logits)
    outcome = simulation.run(
        "downshift.sim.link_noise:noisy_frames",
        {
            "image": str(tmp_path / "model.img"),
            "inputs": str(tmp_path / "inputs.npz"),
            "frames": frames,
            "rate": rate,
            "seed": 3,
            "timeout_cycles": 12_000,
            "batch": batch,
        },
        tmp_path,
    )
    print(outcome)
    assert outcome["wrong"] == 0
    assert outcome["correct"] >= 0.999 * frames
    assert outcome["correct"] + outcome["refused"] >= frames
    assert outcome["damaged"] > 50 * rate * frames


def test_every_error_has_a_sentence():
    assert set(ERROR_SENTENCES) == set(LinkError) - {LinkError.NONE}
