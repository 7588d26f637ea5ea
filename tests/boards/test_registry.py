import re
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from downshift import boards
from downshift.boards.flow import constraints
from downshift.boards.generate import generate
from downshift.hw.errors import DownshiftError

every_board = pytest.mark.parametrize("board", boards.BOARDS, ids=lambda board: board.name)

NAMES = (
    "ecpix5-85f", "orangecrab-85f", "ulx3s-85f", "arty-a7-100", "arty-z7-20", "ecpix5-45f",
    "ulx3s-45f", "colorlight-5a-75b", "orangecrab-25f", "ulx3s-12f", "ulx3s-25f", "arty-a7-35",
    "tang-primer-20k", "tang-nano-9k", "icebreaker", "upduino-v3",
)  # fmt: skip

README = (Path(__file__).parents[2] / "README.md").read_text()
(INVENTED,) = re.findall(r"^```python\n(from downshift.boards.board .*?)^```$", README, re.M | re.S)


def test_every_board_is_found_by_its_name():
    assert boards.names() == NAMES
    assert [boards.find(name).name for name in boards.names()] == list(boards.names())


def test_an_unknown_board_lists_the_known_ones():
    message = rf"^There is no board 'ulx4s'; choose one of {', '.join(NAMES)}$"
    with pytest.raises(DownshiftError, match=message):
        boards.find("ulx4s")


@every_board
def test_the_serial_clock_is_exact_enough(board):
    assert board.divisor >= 8
    assert abs(board.clock_hz / board.divisor / board.baud - 1) < 0.01


@every_board
def test_amaranth_boards_knows_the_same_board(board):
    module, name = board.platform.split(":")
    platform = getattr(import_module(f"amaranth_boards.{module}"), name)
    (clock,) = (each for each in platform.resources if each.name == board.clock)
    assert board.oscillator_hz == clock.clock.frequency
    if board.family == "gowin":
        assert board.part == platform.part
    else:
        part = board.part.lower()
        assert part.startswith(platform.device.lower())
        assert platform.package.lower() in part
        assert (getattr(platform, "speed", None) or "").lower() in part


CONSTRAINTS = {
    "ulx3s-85f": """\
BLOCK ASYNCPATHS;
BLOCK RESETPATHS;
LOCATE COMP "clk" SITE "G2";
IOBUF PORT "clk" IO_TYPE=LVCMOS33;
LOCATE COMP "rx" SITE "M1";
IOBUF PORT "rx" IO_TYPE=LVCMOS33 PULLMODE=UP;
LOCATE COMP "tx" SITE "L4";
IOBUF PORT "tx" IO_TYPE=LVCMOS33;
FREQUENCY PORT "clk" 25 MHZ;
""",
    "tang-nano-9k": """\
IO_LOC "clk" 52;
IO_PORT "clk" IO_TYPE=LVCMOS33;
IO_LOC "rx" 18;
IO_PORT "rx" PULL_MODE=UP IO_TYPE=LVCMOS33;
IO_LOC "tx" 17;
IO_PORT "tx" PULL_MODE=UP IO_TYPE=LVCMOS33;
""",
    "arty-z7-20": """\
set_property -dict {PACKAGE_PIN H16 IOSTANDARD LVCMOS33} [get_ports clk]
set_property -dict {PACKAGE_PIN Y18 IOSTANDARD LVCMOS33 PULLUP TRUE} [get_ports rx]
set_property -dict {PACKAGE_PIN Y19 IOSTANDARD LVCMOS33} [get_ports tx]
create_clock -name clk -period 8.000 [get_ports clk]
""",
    "upduino-v3": """\
set_io clk 20
set_io -pullup yes rx 15
set_io tx 14
set_io flash_select_n 16
set_frequency clk 12
""",
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_pins_are_constrained(name):
    assert constraints(boards.find(name))[1] == CONSTRAINTS[name]


def test_a_file_of_ones_own_is_a_board(tmp_path, make_stand_in):
    (tmp_path / "mine.py").write_text(INVENTED)
    board = boards.find(str(tmp_path / "mine.py"))
    assert board.name == "mine"
    verilog = generate(board, None, tmp_path / "out", core=make_stand_in)
    assert "EHXPLLL" in verilog.read_text()
    assert 'LOCATE COMP "tx" SITE "B1";' in (tmp_path / "out" / "top.lpf").read_text()
    script = (tmp_path / "out" / "build.sh").read_text()
    assert "nextpnr-ecp5 --45k --package CABGA256 --speed 7 --json" in script


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no file .*mine.py; name one that defines a board$"),
        ("x = 1", "mine.py defines 0 boards; define one$"),
        (INVENTED + "OTHER = MINE\n", "mine.py defines 2 boards; define one$"),
        ("import nothing_like_it", "mine.py does not define a board: ModuleNotFoundError: "),
        ("Board(", "mine.py does not define a board: SyntaxError: "),
        (INVENTED.replace('"tx": ', '"ty": '), "mine has no pin for tx; give it in pins$"),
    ],
)
def test_files_that_are_no_boards_are_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    with pytest.raises(DownshiftError, match=message):
        constraints(boards.find(str(tmp_path / "mine.py")))


def test_outputs_that_rest_are_high(tmp_path, make_stand_in):
    board = boards.find("upduino-v3")
    text = generate(board, None, tmp_path / "a", core=make_stand_in).read_text()
    assert "assign flash_select_n = 1'h1;" in text
    assert "SB_PLL40_CORE" in text
    board = replace(board, held_high=())
    text = generate(board, None, tmp_path / "b", core=make_stand_in).read_text()
    assert "flash_select_n" not in text


def test_the_registry_is_light():
    program = (
        "import sys, downshift.boards;"
        "heavy = {'amaranth', 'amaranth_boards', 'pyosys', 'torch', 'numpy'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True)
    assert time.monotonic() - start < 5
