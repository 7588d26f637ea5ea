"""The fastest accelerator that a board holds, and what it is predicted to take."""

import os
from dataclasses import replace

import numpy as np
import pytest

from downshift.boards import BOARDS, find
from downshift.boards import fit as fit_module
from downshift.boards import predict as predict_module
from downshift.boards.board import Resources
from downshift.boards.fit import at_width, can_fit, fit
from downshift.boards.fit_runs import read_runs, run_config
from downshift.boards.predict import predict
from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import Feature
from downshift.sim import golden
from downshift.sim.cycles import cycles
from downshift.sim.random_networks import random_network
from downshift.sw.cli.cluster import cluster
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.compile.memory_use import memory_use

RUNS = read_runs()


@pytest.mark.parametrize("family", ["ecp5", "gowin", "ice40"])
def test_memories_and_multipliers_are_predicted_exactly(family):
    assert len(RUNS[family]) > 12
    for run in RUNS[family]:
        predicted = predict(family, run_config(run), features=Feature(run["features"]))
        found = (run["bram"], run["dsp"], run.get("spram", 0))
        assert (predicted.bram, predicted.dsp, predicted.spram) == found, run


@pytest.mark.parametrize("family", ["ecp5", "gowin", "ice40"])
def test_runs_that_were_left_out_are_predicted(family, monkeypatch):
    """Within 5 %, each from all the others."""
    for number, run in enumerate(RUNS[family]):
        others = {family: RUNS[family][:number] + RUNS[family][number + 1 :]}
        monkeypatch.setattr(predict_module, "read_runs", lambda others=others: others)
        predict_module._weights.cache_clear()
        predicted = predict(family, run_config(run), features=Feature(run["features"]))
        assert abs(predicted.lut / run["lut"] - 1) <= 0.05, run
        assert abs(predicted.ff / run["ff"] - 1) <= 0.05, run
    predict_module._weights.cache_clear()


@pytest.fixture(scope="module")
def graph():
    return random_network(np.random.default_rng(3))


@pytest.mark.parametrize("name", ["ulx3s-25f", "tang-nano-9k", "icebreaker"])
def test_what_is_chosen_runs_the_network_on_the_board(name, graph):
    board, seen = find(name), []
    found = fit(board, graph, progress=lambda done, total: seen.append((done, total)))
    chosen = found.chosen
    image = compile_graph(graph, chosen.config)
    assert chosen.cycles == {width: cycles(image, width).total for width in graph.widths}
    assert chosen.needs == predict(board.family, chosen.config, features=board.features)
    for resource in ("lut", "ff", "bram", "dsp", "spram"):
        assert getattr(chosen.needs, resource) <= getattr(board.resources, resource)
    assert all(chosen.mean_cycles <= other.mean_cycles for other in found.others)
    assert seen == [(done, found.looked_at) for done in range(found.looked_at + 1)]


def test_machines_share_the_candidates(graph):
    distributed = pytest.importorskip("distributed")
    board = find("tang-nano-9k")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as machines,
        cluster(machines.scheduler_address) as pool,
    ):
        assert pool.submit(os.getpid).result() != os.getpid()
        assert fit(board, graph, pool=pool) == fit(board, graph)


def test_machines_that_are_lost_are_named():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as machines:
        machines.scheduler.allowed_failures = 0
        with (
            pytest.raises(DownshiftError, match="lost its workers"),
            cluster(machines.scheduler_address) as pool,
        ):
            pool.submit(os._exit, 1).result()


def test_memories_are_no_larger_than_needed(graph):
    config = fit(find("ulx3s-85f"), graph).chosen.config
    image = compile_graph(graph, config)
    for name, field in (("weights", "weight_depth"), ("parameters", "parameter_depth")):
        used, there = memory_use(image)[name]
        least = fit_module.LEAST[field]
        assert getattr(config, field) == least or 2 * used > there
    if config.activation_bytes > fit_module.LEAST_BANK * config.lanes:
        with pytest.raises(DownshiftError):
            compile_graph(graph, replace(config, activation_bytes=config.activation_bytes // 2))


def test_larger_boards_are_no_slower(graph):
    small, large = (fit(find(f"ulx3s-{size}f"), graph).chosen for size in (25, 85))
    assert large.mean_cycles <= small.mean_cycles


def test_what_is_short_is_named_and_what_would_do(graph, monkeypatch):
    """A network whose codes at the highest width alone are too many for a small board."""
    icebreaker = find("icebreaker")
    scarce = replace(
        icebreaker.chip, resources=Resources(lut=5_280, ff=5_280, bram=10, dsp=8, spram=4)
    )
    with pytest.raises(DownshiftError) as caught:
        fit(replace(icebreaker, name="mine", chip=scarce), graph)
    needed = int(str(caught.value).split(" needs ")[1].split(" ")[0])
    expected = (
        f"{graph.name} needs {needed} block RAMs, mine has 10 for it: {needed - 10} too many; "
    )
    assert str(caught.value).startswith(expected)
    assert str(caught.value).endswith("tang-nano-9k would do")


def test_a_board_for_every_family_is_looked_for(graph, monkeypatch):
    monkeypatch.setattr(fit_module, "BOARDS", ())
    chip = replace(find("icebreaker").chip, resources=Resources(lut=100, ff=100, bram=1, dsp=1))
    with pytest.raises(DownshiftError, match=r"no board would do$"):
        fit(replace(find("icebreaker"), chip=chip), graph)
    assert {board.family for board in BOARDS} == {*RUNS, "xilinx7"}
    assert [can_fit(find(name)) for name in ("ulx3s-85f", "arty-a7-35")] == [True, False]


def test_one_width_is_the_network_at_that_width(graph):
    rng = np.random.default_rng(0)
    most = (1 << graph.layers[0].settings[graph.widths[0]].in_width) - 1
    x = rng.integers(0, min(most, 255) + 1, (3, *graph.input_shape), dtype=np.uint8)
    for width in graph.widths:
        alone = at_width(graph, width)
        assert alone.widths == (width,)
        expected = golden.run(graph, x, width)
        assert np.array_equal(golden.run(alone, x, width).logits, expected.logits)
