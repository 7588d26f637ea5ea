"""The netlist of cells that is placed and routed, through the host link, against golden."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyosys
import pytest

from downshift.boards import find
from downshift.boards.families.family import TOP
from downshift.boards.flow import synthesis_script
from downshift.boards.verilog import plain_verilog
from downshift.hw.ecp5 import Ecp5Fabric
from downshift.hw.table_config import TableConfig
from downshift.hw.top import Top
from downshift.sim.cycles import cycles
from downshift.sim.random_networks import Feature, random_case
from downshift.sim.runner import DIVISOR, build_simulation
from downshift.sim.verify import verify

SHARE = Path(pyosys.__file__).parent / "share"
SEEDS = range(1, 6)
TABLE_CASES = [(1, ()), (11, (Feature.IDENTITY,)), (2060, (Feature.DEPTHWISE,))]
TABLES = TableConfig(
    segments=3, activation_depth=1024, weight_depth=2560, parameter_depth=1024, sum_depth=64,
    program_depth=1024,
)  # fmt: skip


def netlist(board, folder, **arguments):
    """Synthesise the accelerator of a board with the board's own script."""
    core = Top(config=board.config, divisor=DIVISOR, **arguments)
    (folder / f"{TOP}.v").write_text(plain_verilog(core, name=TOP))
    script = [synthesis_script(board), f"rename {TOP} accelerator", "write_verilog netlist.v", ""]
    (folder / "synthesis.ys").write_text("\n".join(script))
    with (folder / "synthesis.log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", "downshift.boards.synthesize", "synthesis.ys"],
            cwd=folder, check=True, stdout=log, stderr=log,
        )  # fmt: skip
    return (folder / "netlist.v").read_text()


def ice40_cells(text):
    return (SHARE / "ice40" / "cells_sim.v").read_text() + text


def gowin_cells(text):
    """Yosys' models of what it has models of, ours of the others; no memory starts with numbers."""
    starts = r"\.INIT_RAM_\w\w\(\d+'[bh]([0x]+)\),?\s*"
    assert text.count(".INIT_RAM_") == len(re.findall(starts, text)) > 0
    soft = (SHARE / "gowin" / "cells_sim.v").read_text()
    hard = (Path(__file__).parent / "gowin_cells.v").read_text()
    for name in re.findall(r"^module (\w+)", hard, re.MULTILINE):
        soft = re.sub(rf"^module {name} *\(.*?^endmodule.*?$", "", soft, flags=re.M | re.S)
    return hard + soft + re.sub(starts, "", text)


NETLISTS = {
    "icebreaker": (("SB_LUT4", "SB_RAM40_4K", "SB_MAC16", "SB_SPRAM256KA"), ice40_cells),
    "tang-nano-9k": (("LUT4", "ALU", "RAM16SDP4", "DPX9B", "SDPX9B", "MULT18X18"), gowin_cells),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETLISTS)
def test_netlist_equals_golden(tmp_path, name):
    board, (cells, with_models) = find(name), NETLISTS[name]
    text = netlist(board, tmp_path)
    assert all(cell in text for cell in cells)
    simulation = build_simulation(board.config, tmp_path, verilog=with_models(text))
    cases = [random_case(seed, board.config) for seed in SEEDS]
    for case, reports in zip(cases, verify(simulation, cases, tmp_path), strict=True):
        for width, report in reports.items():
            assert report.mismatches == 0
            assert report.logits_compared > 0
            assert set(report.cycles) == {cycles(case.image, width).total}


@pytest.mark.slow
def test_table_netlist_equals_golden(tmp_path):
    board = replace(find("ulx3s-85f"), config=TABLES)
    text = netlist(board, tmp_path, fabric=Ecp5Fabric())
    assert all(cell in text for cell in ("CCU2C", "TRELLIS_DPR16X4", "DP16KD", "MULT18X18D"))
    hard = (Path(__file__).parent / "ecp5_cells.v").read_text()
    soft = "".join(
        (SHARE / "ecp5" / f"{name}.vh").read_text()
        for name in ("cells_ff", "cells_io", "common_sim", "ccu2c_sim")
    )
    soft = re.sub("`include.*", "", soft)
    simulation = build_simulation(TABLES, tmp_path, verilog=hard + soft + text)
    cases = [
        random_case(seed, TABLES, images=1, features=features) for seed, features in TABLE_CASES
    ]
    for case, reports in zip(cases, verify(simulation, cases, tmp_path), strict=True):
        for width, report in reports.items():
            assert report.mismatches == 0
            assert report.logits_compared > 0
            assert set(report.cycles) == {cycles(case.image, width).total}
