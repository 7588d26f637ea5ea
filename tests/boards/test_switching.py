"""Toggles of a netlist while it computes frames."""

import numpy as np
import pytest

from downshift.boards import find
from downshift.boards.netlist import Net, Netlist
from downshift.boards.switching import METHOD, _groups, _width, switching
from downshift.hw.errors import DownshiftError
from downshift.sim.cycles import cycles
from downshift.sim.toggles import Toggles
from downshift.sim.verify import WidthReport
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.device.frame_result import FrameCounters
from downshift.sw.graph.integer_graph import IntegerGraph, Layer, Setting

BOARD = find("icebreaker")
WIDTHS = (8, 4, 2)


def a_setting(width, channels, depth, *, first, last):
    return Setting(
        weight_width=width,
        in_width=8 if first else width,
        out_width=32 if last else width,
        zero_point_in=0,
        zero_point_out=0,
        bias=np.zeros(channels, np.int32),
        multiplier=np.full(channels, 40_000, np.uint16),
        # Sums spread over the codes.
        shift=np.full(
            channels, round(12.4 + (8 if first else width) + np.log2(depth) / 2), np.uint8
        ),
    )


def a_graph():
    rng = np.random.default_rng(0)
    shapes = {"conv": (8, 1, 3, 3), "next": (8, 8, 3, 3), "fc": (5, 8, 4, 4)}
    layers = tuple(
        Layer(
            name=name,
            weight=rng.integers(-128, 128, shape).astype(np.int8),
            stride=(1, 1),
            padding=(0,) * 4 if name == "fc" else (1,) * 4,
            pool=None,
            settings={
                width: a_setting(
                    width, shape[0], np.prod(shape[1:]), first=name == "conv", last=name == "fc"
                )
                for width in WIDTHS
            },
        )
        for name, shape in shapes.items()
    )
    return IntegerGraph(name="tiny", input_shape=(4, 4, 1), input_scale=1.0, layers=layers)


@pytest.mark.slow
def test_fewer_bits_toggle_less_and_it_is_the_same_every_time(tmp_path):
    graph = a_graph()
    x = np.random.default_rng(1).integers(0, 256, (2, *graph.input_shape)).astype(np.uint8)
    report = switching(graph, BOARD, BOARD.config, x, tmp_path, widths=WIDTHS)
    assert switching(graph, BOARD, BOARD.config, x, tmp_path, widths=WIDTHS) == report
    image, entries = compile_graph(graph, BOARD.config), report["widths"]
    for width in WIDTHS:
        entry = entries[str(width)]
        assert entry["cycles"] == cycles(image, width).total
        assert entry["values_compared"] == 2 * (5 + 2 * 8 * 4 * 4)
        assert entry["toggles"] == sum(entry["driven_by"].values())
        # The clock, and a few cycles before and after the frame.
        assert 0 <= entry["driven_by"]["pins"] - 2 * entry["cycles"] < 200
        assert all(entry["driven_by"].values()) and all(entry["at_ports_of"].values())
        assert len(set(entry["toggles_by_frame"])) == 2
    assert entries["2"]["toggles"] < entries["4"]["toggles"] < entries["8"]["toggles"]
    assert entries["2"]["relative_toggles"] == entries["2"]["toggles"] / entries["8"]["toggles"]
    assert entries["8"]["relative_cycles"] == 1 and report["relative_to"] == 8
    assert sum(report["nets"].values()) > 8_000


def test_nets_are_counted_once_for_what_drives_them():
    nets = {
        "clk": Net(driver=None, ends=frozenset({"SB_DFF", "SB_MAC16", "SB_RAM40_4K"})),
        "n0": Net(driver="SB_LUT4", ends=frozenset({"SB_LUT4"})),
        "n1": Net(driver="SB_CARRY", ends=frozenset({"SB_LUT4"})),
        "n2": Net(driver="SB_DFFESR", ends=frozenset({"SB_MAC16"})),
        "n3": Net(driver="SB_MAC16", ends=frozenset({"SB_MAC16", "SB_SPRAM256KA"})),
        "n4": Net(driver="SB_RAM40_4K", ends=frozenset()),
    }
    bits = {f"serial_port.dut.{name}": range(k, k + 1) for k, name in enumerate(nets)}
    # Always alike, and so called by one id in the dump: two nets all the same.
    bits["serial_port.dut.n1"] = bits["serial_port.dut.n0"]
    counts = np.array([[100, 10, 999, 20, 30, 40], [100, 12, 999, 20, 30, 40]])
    toggles = Toggles(bits={**bits, "serial_port.window.counting": range(2, 3)}, counts=counts)
    groups = _groups(Netlist(verilog="", nets=nets, cells={}), toggles, BOARD)
    counters = [FrameCounters(cycles=50, busy=0, tile_load=0, fetch=0, weight_words=0)] * 2
    report = WidthReport(logits_compared=6, codes_compared=4, counters=counters)
    assert _width(report, counts, groups) == {
        "cycles": 50,
        "toggles": 212,
        "toggles_by_frame": [210, 214],
        "driven_by": {
            "logic": 22, "registers": 20, "memories": 40, "multipliers": 30, "pins": 100,
        },
        "at_ports_of": {"memories": 170, "multipliers": 150},
        "values_compared": 10,
    }  # fmt: skip


def test_a_mismatch_is_an_error(tmp_path, monkeypatch):
    from downshift.boards import switching as module

    netlist = Netlist(verilog="", nets={}, cells={})
    reports = {width: WidthReport(mismatches=width == 4) for width in WIDTHS}
    monkeypatch.setattr(module, "mapped_netlist", lambda *arguments: netlist)
    monkeypatch.setattr(module, "build_simulation", lambda *arguments, **options: None)
    monkeypatch.setattr(module, "count_frames", lambda *arguments, **options: (reports, None))
    graph = a_graph()
    sentence = r"^1 values of icebreaker's netlist differ from golden at 4 bits, so that its toggle"
    with pytest.raises(DownshiftError, match=sentence):
        x = np.zeros((1, *graph.input_shape), np.uint8)
        switching(graph, BOARD, BOARD.config, x, tmp_path, widths=WIDTHS)


def test_the_method_claims_no_energy():
    assert METHOD.endswith("no joules follow from it.")
