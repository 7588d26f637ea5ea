"""The netlist of cells that is placed and routed, through the host link, against golden."""

from dataclasses import replace

import pytest

from downshift.boards import find
from downshift.boards.cell_models import with_cell_models
from downshift.boards.netlist import Net, _nets, mapped_netlist
from downshift.hw.config import DspConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sim.cycles import cycles
from downshift.sim.random_networks import Feature, random_case
from downshift.sim.runner import build_simulation
from downshift.sim.verify import verify

SEEDS = range(1, 6)
TABLE_CASES = [(1, ()), (11, (Feature.IDENTITY,)), (2060, (Feature.DEPTHWISE,))]
TABLES = TableConfig(
    segments=3, activation_depth=1024, weight_depth=2560, parameter_depth=1024, sum_depth=64,
    program_depth=1024,
)  # fmt: skip
MULTIPLIERS = DspConfig(
    rows=4, lanes=4, requantizers=1, weight_depth=2048, activation_bytes=4096, parameter_depth=512,
    partial_sum_depth=64, program_depth=1024,
)  # fmt: skip
NETLISTS = {
    "icebreaker": ("SB_LUT4", "SB_RAM40_4K", "SB_MAC16", "SB_SPRAM256KA"),
    "tang-nano-9k": ("LUT4", "ALU", "RAM16SDP4", "DPX9B", "SDPX9B", "MULT18X18"),
    "tang-primer-20k": ("LUT4", "ALU", "RAM16SDP4", "MULT18X18"),
    "ulx3s-85f": ("CCU2C", "TRELLIS_DPR16X4", "DP16KD", "MULT18X18D"),
}


def check(board, folder, cases, **options):
    netlist = mapped_netlist(board, board.config, folder, **options)
    assert set(NETLISTS[board.name]) <= set(netlist.cells)
    assert all(f"  wire {name};" in netlist.verilog for name in netlist.nets)
    simulation = build_simulation(board.config, folder, verilog=netlist.verilog)
    for case, reports in zip(cases, verify(simulation, cases, folder), strict=True):
        for width, report in reports.items():
            assert report.mismatches == 0
            assert report.logits_compared > 0
            assert set(report.cycles) == {cycles(case.image, width).total}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["icebreaker", "tang-nano-9k"])
def test_netlist_equals_golden(tmp_path, name):
    board = find(name)
    check(board, tmp_path, [random_case(seed, board.config) for seed in SEEDS])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ulx3s-85f", "tang-primer-20k"])
def test_netlist_of_multipliers_equals_golden(tmp_path, name):
    board = replace(find(name), config=MULTIPLIERS)
    check(board, tmp_path, [random_case(seed, MULTIPLIERS) for seed in SEEDS])


@pytest.mark.slow
def test_table_netlist_equals_golden(tmp_path):
    board = replace(find("ulx3s-85f"), config=TABLES)
    cases = [
        random_case(seed, TABLES, images=1, features=features) for seed, features in TABLE_CASES
    ]
    check(board, tmp_path, cases, flat=False)


def test_each_net_has_one_driver():
    lut = {"A": "input", "B": "input", "Q": "output"}
    module = {
        "ports": {
            "clk": {"direction": "input", "bits": [2]},
            "tx": {"direction": "output", "bits": [4]},
            "also": {"direction": "output", "bits": [2]},
        },
        "cells": {
            "one": {
                "type": "LUT", "port_directions": lut,
                "connections": {"A": [2], "B": ["1"], "Q": [3]},
            },
            "two": {
                "type": "MAC", "port_directions": lut,
                "connections": {"A": [3], "B": [2], "Q": [4]},
            },
        },
        "netnames": {
            name: {"bits": [bit]}
            for name, bit in {"clk": 2, "also": 2, "n1": 3, "tx": 4, "zero": "0"}.items()
        },
    }  # fmt: skip
    assert _nets(module) == {
        "clk": Net(driver=None, ends=frozenset({"LUT", "MAC"})),
        "n1": Net(driver="LUT", ends=frozenset({"MAC"})),
        "tx": Net(driver="MAC", ends=frozenset()),
    }


def test_models_come_untraced_before_the_netlist():
    text = with_cell_models("module accelerator(); endmodule", "ice40")
    models, netlist = text.split("/*verilator tracing_on*/")
    assert models.startswith("/*verilator tracing_off*/") and "module SB_LUT4" in models
    assert netlist.strip() == "module accelerator(); endmodule"


def test_a_family_without_models(tmp_path):
    board = find("arty-a7-35")
    with pytest.raises(DownshiftError, match=r"^There are no models of the cells of xilinx7 to "):
        mapped_netlist(board, board.config, tmp_path)
    assert not list(tmp_path.iterdir())
