# amaranth: UnusedElaboratable=no
import re
from dataclasses import replace

import pytest
from amaranth.hdl import Fragment

from downshift.boards import find
from downshift.boards.clocking import Clocking
from downshift.boards.families import FAMILIES
from downshift.boards.verilog import board_verilog
from downshift.hw.errors import DownshiftError

ECP5, ICE40, GOWIN, XILINX = (
    FAMILIES[name].dividers for name in ("ecp5", "ice40", "gowin", "xilinx7")
)


def test_dividers_are_those_of_ecppll_and_icepll():
    assert ECP5(25_000_000, 80_000_000) == (5, 16, 7)
    assert ICE40(12_000_000, 24_000_000) == (0, 63, 5, 1)
    assert ICE40(12_000_000, 21_000_000) == (0, 55, 5, 1)


@pytest.mark.parametrize("mhz", [10, 40, 50, 62.5, 75, 80, 100, 125, 200])
def test_ecp5_dividers_give_the_clock(mhz):
    reference, feedback, output = ECP5(25_000_000, int(mhz * 1e6))
    assert 25 * feedback == mhz * reference
    assert 400 <= mhz * output <= 800


@pytest.mark.parametrize("mhz", [18, 20.25, 21, 24, 30, 36, 48])
def test_ice40_dividers_give_the_clock(mhz):
    divr, divf, divq, filter_range = ICE40(12_000_000, int(mhz * 1e6))
    assert 12 * (divf + 1) == mhz * (divr + 1) * 2**divq
    assert 533 <= mhz * 2**divq <= 1066
    assert filter_range == 1


@pytest.mark.parametrize("mhz", [27, 54, 58.5, 63, 72, 81, 90, 108])
def test_gowin_dividers_give_the_clock(mhz):
    reference, feedback, output = GOWIN(27_000_000, int(mhz * 1e6))
    assert 27 * (feedback + 1) == mhz * (reference + 1)
    assert 27 / (reference + 1) >= 3
    assert 400 <= mhz * output <= 1200
    assert output in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


@pytest.mark.parametrize("mhz", [50, 62.5, 75, 80, 95, 100, 120])
@pytest.mark.parametrize("oscillator", [100, 125])
def test_xilinx_dividers_give_the_clock(oscillator, mhz):
    divide, multiply, output = XILINX(oscillator * 1_000_000, int(mhz * 1e6))
    assert oscillator * multiply == mhz * divide * output
    assert 19 <= oscillator / divide <= 450
    assert 800 <= mhz * output <= 1600
    assert 2 <= multiply <= 64 and 1 <= output <= 128 and 1 <= divide <= 56


@pytest.mark.parametrize("dividers", [ECP5, ICE40, GOWIN, XILINX])
def test_a_clock_out_of_reach_is_refused(dividers):
    message = r"^The PLL cannot make 1000\.5 MHz from 12 MHz; choose another clock$"
    with pytest.raises(DownshiftError, match=message):
        dividers(12_000_000, 1_000_500_000)


@pytest.mark.parametrize(
    "name", ["ulx3s-85f", "tang-nano-9k", "icebreaker", "upduino-v3", "arty-a7-35"]
)
def test_a_board_at_its_oscillator_needs_no_pll(name):
    board = find(name)
    at_oscillator = replace(board, clock_hz=board.oscillator_hz)
    for clocked, plls in ((board, 1), (at_oscillator, 0)):
        fragment = Fragment.get(Clocking(clocked), None)
        assert [subname for _, subname, _ in fragment.subfragments].count("pll") == plls


@pytest.mark.parametrize(("name", "count"), [("ulx3s-25f", 1), ("ulx3s-12f", 1), ("ulx3s-85f", 0)])
def test_the_smallest_ecp5_keeps_the_gates_clock_off_global_nets(name, count, make_stand_in):
    """Nextpnr finds no way from there to the gate."""
    board = find(name)
    text = board_verilog(board, make_stand_in(board.config, board.divisor, board.features))
    assert len(re.findall(r"\(\* noglobal = .*1 \*\)\s+wire ungated_clk;", text)) == count
