import fcntl
import hashlib
from functools import cache

import numpy as np
import pytest

from downshift.sim import golden
from downshift.sim.cycles import cycles
from downshift.sim.random_networks import random_codes
from downshift.sim.runner import UART, build_simulation
from downshift.sw.compile.compiler import compile_graph

RESETS = 4
REQUEST = 200
"""Cycles that a request takes, and then some."""


@pytest.fixture(scope="session")
def simulator(tmp_path_factory, worker_id):
    """Build simulators, each once for all tests in all processes."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder if worker_id == "master" else folder.parent) / "simulators"
    folder.mkdir(exist_ok=True)

    @cache
    def built(config, link=UART):
        name = hashlib.sha256(repr((config, link)).encode()).hexdigest()[:16]
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return build_simulation(config, folder / name, link=link)

    return built


@pytest.fixture(scope="session")
def check_counters():
    """An accelerator counted as many cycles as were predicted, and for the same ends."""

    def check(counters, predicted):
        assert counters.cycles == predicted.total
        for use in ("busy", "tile_load", "fetch"):
            due = sum(getattr(spent, use) for spent in predicted.spent)
            assert getattr(counters, use) == due, use

    return check


@pytest.fixture(scope="session")
def check_frames(check_counters):
    """Every value of every frame was golden's, and every frame took what was predicted."""

    def check(case, reports):
        for width, report in reports.items():
            where = f"{case.graph.name} at width {width}"
            assert report.mismatches == 0, where
            assert report.logits_compared > 0, where
            for counters in report.counters:
                check_counters(counters, cycles(case.image, width))

    return check


@pytest.fixture
def check_resets(tmp_path):
    """Reset an accelerator at all times of a frame, and before one: the next frame is right."""

    def check(simulation, graph):
        rng = np.random.default_rng(0)
        x = random_codes(rng, graph, 1)
        image = compile_graph(graph, simulation.config)
        (tmp_path / "model.img").write_bytes(image.to_bytes())
        np.save(tmp_path / "x.npy", x[0])
        for width in (max(graph.widths), min(graph.widths)):
            predicted = cycles(image, width).total
            after = [
                int(REQUEST * rng.random()),
                *rng.integers(REQUEST, REQUEST + predicted, RESETS),
            ]
            results = simulation.run(
                "downshift.sim.link_faults:resets",
                {
                    "image": str(tmp_path / "model.img"),
                    "inputs": str(tmp_path / "x.npy"),
                    "width": width,
                    "after": [int(k) for k in after],
                },
                tmp_path,
            )
            logits = golden.run(graph, x, width).logits[0].tolist()
            expected = {"run": "NO_IMAGE", "logits": logits, "cycles": predicted}
            assert results == [expected] * len(after)

    return check
