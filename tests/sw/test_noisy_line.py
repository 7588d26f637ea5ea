"""Whatever a line does: results are right, or there is an error, and it all ends."""

from itertools import islice

import numpy as np
import pytest
from line_model import LineModel

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.sim import golden
from downshift.sim.random_networks import random_codes, random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.device.driver import Accelerator

GRAPH = random_network(np.random.default_rng(5))
IMAGE = compile_graph(GRAPH, AcceleratorConfig())
X = random_codes(np.random.default_rng(0), GRAPH, 40)
LOGITS = {width: golden.run(GRAPH, X, width).logits for width in GRAPH.widths}
MOST_TICKS = 40_000_000
ROUNDS = 6


def line_of(rng):
    ticks = int(rng.choice([5, 100, 1000, 4000]))
    return LineModel(
        GRAPH, IMAGE, X,
        rng=rng,
        ticks=ticks,
        timeout=int(ticks * rng.choice([1.2, 3]) + 600),
        quiet=int(rng.choice([50, 600, 3000])),
        rate=float(rng.choice([0, 3e-4, 1e-3, 4e-3])),
        resets=float(rng.choice([0, 0, 2e-5])),
    )  # fmt: skip


def outcome(seed):
    """How many results are right, and wrong, of frames that are asked for in all ways at once."""
    rng = np.random.default_rng(seed)
    line = line_of(rng)
    accelerator = Accelerator(line)
    accelerator.load(IMAGE)
    line.noisy = True
    counts = {True: 0, False: 0}
    suspended = []

    def take(results, indices, width):
        for index in indices:
            counts[bool((next(results).logits == LOGITS[width][index]).all())] += 1

    for _ in range(ROUNDS):
        width = int(rng.choice(GRAPH.widths))
        chosen = rng.integers(len(X), size=int(rng.integers(1, 14)))
        how = rng.choice(["all", "all", "some", "one"])
        try:
            if how == "all":
                take(accelerator.run_all(X[chosen], width), chosen, width)
            elif how == "some":
                suspended.append((accelerator.run_all(X[chosen], width), iter(chosen), width))
            else:
                take(iter([accelerator.run(X[chosen[0]], width)]), chosen[:1], width)
            for results, indices, of in suspended:
                take(results, islice(indices, int(rng.integers(0, 4))), of)
        except DownshiftError:
            suspended.clear()
        if suspended and rng.random() < 0.2:
            suspended.pop()
        assert line.now < MOST_TICKS
    return counts[True], counts[False]


@pytest.mark.parametrize("seeds", [80, pytest.param(3_000, marks=pytest.mark.slow)])
def test_results_are_right_or_there_is_an_error(seeds):
    outcomes = [outcome(seed) for seed in range(seeds)]
    assert sum(wrong for _, wrong in outcomes) == 0
    assert sum(right for right, _ in outcomes) > 15 * seeds
