# amaranth: UnusedElaboratable=no
import json
import statistics

import pytest

from downshift.boards import find
from downshift.boards import placing as placing_module
from downshift.boards import routing as routing_module
from downshift.boards.routing import route
from downshift.sw.result_cache import ResultCache

BOARD = find("icebreaker")
SPEEDS = {1: 20.0, 2: 30.0, 3: 25.0, 4: 40.0}
UTILISATION = {
    name: {"available": 100, "used": 10}
    for name in ("ICESTORM_LC", "ICESTORM_RAM", "ICESTORM_DSP", "ICESTORM_SPRAM")
}


@pytest.fixture
def tools(monkeypatch):
    """Stand in for Yosys and nextpnr; list what was run."""
    ran = []

    def generate(board, config, folder, *, core=None):
        for name in routing_module.source_files(board):
            (folder / name).write_text(f"{name} of {core}")

    def run_steps(board, flow, folder, progress=lambda line: None):
        for step in flow:
            progress(step.title)
            arguments = list(step.arguments)
            if "--seed" in arguments:
                seed = int(arguments[arguments.index("--seed") + 1])
                ran.append(seed)
                fmax = {"clk": {"achieved": SPEEDS[seed], "constraint": 24}}
                report = {"fmax": fmax, "utilization": UTILISATION}
                (folder / "report.json").write_text(json.dumps(report))
            else:
                ran.append("synthesis")
                assert (folder / "top.v").read_text().startswith("top.v of ")
                cells = {"accelerator.core.processor.executor.engine.array.x": {"type": "SB_LUT4"}}
                module = {"attributes": {}, "cells": cells}
                (folder / "top.json").write_text(json.dumps({"modules": {"top": module}}))
                stat = {"design": {"num_cells_by_type": {"SB_DFF": 5}}}
                (folder / "synthesis.json").write_text(json.dumps(stat))

    monkeypatch.setattr(routing_module, "generate", generate)
    for module in (routing_module, placing_module):
        monkeypatch.setattr(module, "run_steps", run_steps)
    return ran


@pytest.fixture
def routed(tmp_path, tools):
    """Route with some seeds; what was run for it comes with the result."""
    cache = ResultCache(folder=tmp_path / "cache")

    def call(*seeds, board=BOARD, core="core"):
        tools.clear()
        result = route(board, board.config, seeds=seeds, cache=cache, core=core)
        return result, list(tools)

    return call


def test_every_seed_is_routed_once(routed):
    result, ran = routed(1, 2)
    assert ran == ["synthesis", 1, 2]
    assert [report.fmax_mhz for report in result.reports] == [20.0, 30.0]
    assert result.parts["array"]["lut"] == 1
    assert routed(1, 2) == (result, [])
    assert routed(2)[1] == []
    assert routed(3, 1)[1] == ["synthesis", 3]


@pytest.mark.parametrize("seeds", [(1,), (2, 1), (1, 2, 3), (4, 3, 2, 1)])
def test_the_median_is_one_of_them(routed, seeds):
    result, _ = routed(*seeds)
    assert result.median.fmax_mhz == statistics.median_low(SPEEDS[seed] for seed in seeds)
    assert SPEEDS[result.median.seed] == result.median.fmax_mhz
    assert result.median.bitstream is None


def test_a_missed_clock_is_a_result(routed):
    result, _ = routed(1)
    assert not result.median.meets_clock


def test_another_design_is_another_result(routed):
    routed(1)
    assert routed(1, core="other")[1] == ["synthesis", 1]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"null", b"1", b"nonsense", b'{"board": 1}', b"[" * 100_000,
        b'{"array": 1}', b'{"array": {"lut": "x"}}',
    ],
)  # fmt: skip
def test_what_the_cache_holds_wrongly_is_made_anew(tmp_path, routed, body):
    result, _ = routed(1)
    cache = ResultCache(folder=tmp_path / "cache")
    paths = [path for kind in ("routes", "parts") for path in (cache.folder / kind).iterdir()]
    assert len(paths) == 2
    for path in paths:
        cache.put(path.parent.name, path.name, body)
    again, ran = routed(1)
    assert ran == ["synthesis", 1]
    assert again.reports == result.reports
    assert routed(1)[1] == []


@pytest.mark.parametrize("kind", ["routes", "parts"])
def test_half_of_a_result_is_completed(tmp_path, routed, kind):
    result, _ = routed(1)
    (path,) = (tmp_path / "cache" / kind).iterdir()
    path.write_bytes(b"damaged")
    again, ran = routed(1)
    assert again == result
    assert ran == (["synthesis", 1] if kind == "routes" else ["synthesis"])


def test_verilog_is_generated_once(tmp_path, monkeypatch, tools):
    made, generate = [], routing_module.generate

    def count(board, config, folder, core):
        made.append(board.name)
        return generate(board, config, folder)

    monkeypatch.setattr(routing_module, "generate", count)
    cache = ResultCache(folder=tmp_path / "cache")
    results = [route(BOARD, BOARD.config, seeds=[1], cache=cache) for _ in range(2)]
    assert results[0] == results[1]
    assert made == ["icebreaker"]
    assert tools == ["synthesis", 1]


@pytest.mark.slow
def test_real_tools(tmp_path, make_stand_in):
    lines = []
    results = [
        route(
            BOARD, BOARD.config, seeds=[1, 2], cache=ResultCache(folder=tmp_path / "cache"),
            progress=lines.append, core=make_stand_in,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert results[0] == results[1]
    assert [line for line in lines if "Placing" in line] == [
        "Placing and routing with nextpnr-ice40, seed 1, 1 of 2",
        "Placing and routing with nextpnr-ice40, seed 2, 2 of 2",
    ]
    assert results[0].median.spram == 2 == results[0].parts["other"]["spram"]
    assert results[0].median.ff == sum(part["ff"] for part in results[0].parts.values())
