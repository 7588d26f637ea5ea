"""How the fastest design is looked for, with tools that only pretend."""

import json
from dataclasses import replace

import pytest

from downshift.boards import build as build_module
from downshift.boards import find
from downshift.boards import placing as placing_module
from downshift.boards.build import build
from downshift.boards.clocks import clocks_below
from downshift.hw.errors import DownshiftError
from downshift.sw.cli.cluster import cluster

BOARD = find("ulx3s-85f")
UTILISATION = {
    "TRELLIS_COMB": {"used": 10, "available": 83_640},
    "TRELLIS_FF": {"used": 11, "available": 83_640},
    "DP16KD": {"used": 1, "available": 208},
    "MULT18X18D": {"used": 4, "available": 156},
}


@pytest.fixture
def tools(monkeypatch):
    """Give a function that sets what is routed: fmax by clock in MHz and seed; None: a failure."""
    speeds, ran = {}, []

    def generate(board, config, folder, *, core=None):
        (folder / "top.v").write_text(f"// {board.clock_hz}\n")
        (folder / "top.lpf").write_text("")
        (folder / "top.json").write_text("{}")
        (folder / "synthesis.json").write_text('{"design": {"num_cells_by_type": {}}}')

    def run_steps(board, flow, folder, progress=lambda line: None):
        for step in flow:
            progress(step.title)
            arguments = list(step.arguments)
            if "--seed" in arguments:
                mhz = float(arguments[arguments.index("--freq") + 1])
                seed = int(arguments[arguments.index("--seed") + 1])
                ran.append((mhz, seed))
                if speeds[mhz, seed] is None:
                    raise DownshiftError("nextpnr failed: no way through")
                fmax = {"clk": {"achieved": speeds[mhz, seed], "constraint": mhz}}
                report = {"fmax": fmax, "utilization": UTILISATION}
                (folder / "report.json").write_text(json.dumps(report))
                (folder / "top.config").write_text(f"{mhz:g} MHz, seed {seed}")
            elif step.tool == "yowasp-ecppack":
                (folder / "top.bit").write_bytes((folder / "top.config").read_bytes())

    monkeypatch.setattr(build_module, "generate", generate)
    for module in (build_module, placing_module):
        monkeypatch.setattr(module, "run_steps", run_steps)

    def told(**wanted):
        speeds.clear()
        ran.clear()
        for name, fmax in wanted.items():
            mhz, seed = name.removeprefix("at_").split("_")
            speeds[float(mhz), int(seed)] = fmax
        return ran

    return told


def test_the_clock_follows_what_was_routed(tools, tmp_path):
    ran = tools(at_80_1=96.5, at_95_1=97.0)
    report = build(BOARD, None, tmp_path / "out")
    assert ran == [(80, 1), (95, 1)]
    assert (report.clock_mhz, report.fmax_mhz, report.baud) == (95, 97.0, 1_000_000)
    assert report.bitstream.read_text() == "95 MHz, seed 1"
    assert "95000000" in (tmp_path / "out" / "top.v").read_text()
    text = (tmp_path / "out" / "README.txt").read_text()
    assert "Clock: 95 MHz, routed at 97 MHz; seed 1." in text
    assert "1000000 bit/s" in text
    assert f"{BOARD.config.fingerprint:08x}" in text
    assert not (tmp_path / "out" / "top.json").exists()


def test_a_clock_that_is_missed_is_lowered(tools, tmp_path):
    ran = tools(at_80_1=96.5, at_95_1=91.3, at_90_1=90.0)
    assert build(BOARD, None, tmp_path / "out").clock_mhz == 90
    assert ran == [(80, 1), (95, 1), (90, 1)]


def test_a_clock_that_was_met_is_fallen_back_to(tools, tmp_path):
    tools(at_80_1=96.5, at_95_1=91.3, at_90_1=89.0)
    report = build(BOARD, None, tmp_path / "out")
    assert (report.clock_mhz, report.fmax_mhz) == (80, 96.5)
    assert report.bitstream.read_text() == "80 MHz, seed 1"
    assert "80000000" in (tmp_path / "out" / "top.v").read_text()


def test_too_slow_for_the_boards_clock_is_slower(tools, tmp_path):
    ran = tools(at_80_1=66.3, at_65_1=70.0)
    report = build(BOARD, None, tmp_path / "out")
    assert ran == [(80, 1), (65, 1)]
    assert (report.clock_mhz, report.baud) == (65, 1_000_000)


def test_what_is_hardly_faster_is_not_tried(tools, tmp_path):
    ran = tools(at_80_1=81.0)
    assert build(BOARD, None, tmp_path / "out").clock_mhz == 80
    assert ran == [(80, 1)]


def test_clocks_that_are_never_met_are_refused(tools, tmp_path):
    tools(at_80_1=60.9, at_60_1=50.9, at_50_1=49.0)
    message = r"^The accelerator was routed at 49 MHz with seed 1, ulx3s-85f clocks it at 50 MHz; "
    with pytest.raises(DownshiftError, match=message):
        build(BOARD, None, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_fastest_seed_is_kept(tools, tmp_path):
    lines = []
    ran = tools(at_80_1=85.0, at_80_2=None, at_80_3=93.0)
    report = build(
        BOARD, None, tmp_path / "out",
        clock_hz=80_000_000, seeds=(1, 2, 3), jobs=2, progress=lines.append,
    )  # fmt: skip
    assert sorted(ran) == [(80, 1), (80, 2), (80, 3)]
    assert (report.seed, report.fmax_mhz) == (3, 93.0)
    assert report.bitstream.read_text() == "80 MHz, seed 3"
    assert "--seed 3" in (tmp_path / "out" / "build.sh").read_text()
    told = "\n".join(lines)
    assert "Seed 1: 85 MHz (" in told and "Seed 2: nextpnr failed: no way through (" in told
    assert "(3 of 3)" in told


def test_seeds_that_all_fail_say_why(tools, tmp_path):
    tools(at_80_1=None, at_80_2=None)
    with pytest.raises(DownshiftError, match=r"^nextpnr failed: no way through$"):
        build(BOARD, None, tmp_path / "out", seeds=(1, 2))
    tools(at_80_1=60.0, at_80_2=70.0)
    message = r"^The accelerator was routed at 70 MHz with 2 seeds, ulx3s-85f clocks it at 80 MHz"
    with pytest.raises(DownshiftError, match=message):
        build(BOARD, None, tmp_path / "out", seeds=(1, 2), clock_hz=80_000_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["ulx3s-85f", "tang-nano-9k", "icebreaker", "ecpix5-85f"])
def test_clocks_keep_the_serial_port(name):
    board = find(name)
    found = list(clocks_below(board, 100.1))
    assert len(found) > 10 and found == sorted(found, reverse=True)
    assert board.clock_hz in found
    for clock_hz in found:
        clocked = replace(board, clock_hz=clock_hz)
        assert clock_hz <= 100.1e6
        assert clocked.divisor >= 8
        assert abs(clock_hz / clocked.divisor / board.baud - 1) < 0.01
        assert abs(clocked.serial_hz - clock_hz / clocked.divisor) <= 0.5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_cluster_tries_the_seeds(tools, tmp_path):
    distributed = pytest.importorskip("distributed")
    ran = tools(at_80_1=85.0, at_80_2=93.0, at_80_3=90.0)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as machines,
        cluster(machines.scheduler_address) as pool,
    ):
        report = build(
            BOARD, None, tmp_path / "out", clock_hz=80_000_000, seeds=(1, 2, 3), pool=pool
        )
    assert sorted(ran) == [(80, 1), (80, 2), (80, 3)]
    assert (report.seed, report.fmax_mhz) == (2, 93.0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_cluster_without_workers_is_named(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("downshift.sw.cli.cluster.SECONDS", 1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as machines,
        pytest.raises(DownshiftError, match=r"has no workers; start some with `dask worker "),
        cluster(machines.scheduler_address),
    ):
        pass


def test_a_cluster_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("downshift.sw.cli.cluster.SECONDS", 1)
    message = r"^No Dask scheduler answers at tcp://127.0.0.1:9; start one with `dask scheduler`"
    with pytest.raises(DownshiftError, match=message), cluster("tcp://127.0.0.1:9"):
        pass
    with pytest.raises(DownshiftError, match=r"^No Dask scheduler answers at nonsense::;"):
        cluster("nonsense::").__enter__()
