"""The netlist of iCE40 cells that is placed and routed, through the host link, against golden."""

import subprocess
import sys
from pathlib import Path

import pyosys
import pytest

from downshift.boards import find
from downshift.boards.flow import synthesis_script
from downshift.boards.verilog import TOP, plain_verilog
from downshift.hw.top import Top
from downshift.sim.cycles import cycles
from downshift.sim.random_networks import random_case
from downshift.sim.runner import DIVISOR, build_simulation
from downshift.sim.verify import verify

CELLS = Path(pyosys.__file__).parent / "share" / "ice40" / "cells_sim.v"
SEEDS = range(1, 6)


def netlist(board, folder):
    """Synthesise the accelerator of a board with the board's own script."""
    core = Top(config=board.config, divisor=DIVISOR)
    (folder / f"{TOP}.v").write_text(plain_verilog(core, name=TOP))
    script = [synthesis_script(board), f"rename {TOP} accelerator", "write_verilog netlist.v", ""]
    (folder / "synthesis.ys").write_text("\n".join(script))
    with (folder / "synthesis.log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", "downshift.boards.synthesize", "synthesis.ys"],
            cwd=folder, check=True, stdout=log, stderr=log,
        )  # fmt: skip
    return (folder / "netlist.v").read_text()


@pytest.mark.slow
def test_netlist_equals_golden(tmp_path):
    board = find("icebreaker")
    text = netlist(board, tmp_path)
    assert all(cell in text for cell in ("SB_LUT4", "SB_RAM40_4K", "SB_MAC16", "SB_SPRAM256KA"))
    simulation = build_simulation(board.config, tmp_path, verilog=CELLS.read_text() + text)
    cases = [random_case(seed, board.config) for seed in SEEDS]
    for case, reports in zip(cases, verify(simulation, cases, tmp_path), strict=True):
        for width, report in reports.items():
            assert report.mismatches == 0
            assert report.logits_compared > 0
            assert set(report.cycles) == {cycles(case.image, width).total}
