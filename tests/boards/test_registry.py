import subprocess
import sys
import time

import pytest

from downshift import boards
from downshift.hw.errors import DownshiftError


def test_every_board_is_found_by_its_name():
    assert boards.names() == ("ulx3s-85f", "icebreaker")
    assert [boards.find(name).name for name in boards.names()] == list(boards.names())


def test_an_unknown_board_lists_the_known_ones():
    message = r"^There is no board 'ulx4s'; choose one of ulx3s-85f, icebreaker$"
    with pytest.raises(DownshiftError, match=message):
        boards.find("ulx4s")


@pytest.mark.parametrize("board", boards.BOARDS, ids=lambda board: board.name)
def test_the_serial_clock_is_exact_enough(board):
    assert board.divisor >= 8
    assert abs(board.clock_hz / board.divisor / board.baud - 1) < 0.01


@pytest.mark.parametrize(
    ("name", "platform"),
    [("ulx3s-85f", "ULX3S_85F_Platform"), ("icebreaker", "ICEBreakerPlatform")],
)
def test_pins_are_those_of_amaranth_boards(name, platform):
    vendor = pytest.importorskip(
        "amaranth_boards.ulx3s" if name.startswith("ulx3s") else "amaranth_boards.icebreaker"
    )
    resources = {(r.name, r.number): r for r in getattr(vendor, platform).resources}
    board = boards.find(name)
    (clock,) = (r for r in resources.values() if r.name == f"clk{board.oscillator_hz // 10**6}")
    assert [board.pins["clk"].site] == list(clock.ios[0].names)
    assert board.oscillator_hz == clock.clock.frequency
    uart = {signal.name: signal.ios[0].names for signal in resources["uart", 0].ios}
    assert [board.pins["rx"].site] == list(uart["rx"])
    assert [board.pins["tx"].site] == list(uart["tx"])


def test_the_registry_is_light():
    program = (
        "import sys, downshift.boards;"
        "heavy = {'amaranth', 'amaranth_boards', 'pyosys', 'torch', 'numpy'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True)
    assert time.monotonic() - start < 5
