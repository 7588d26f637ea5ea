"""The generated Verilog as Verilator's lint sees it, all warnings on."""

import re
import subprocess

import pytest

from downshift.boards import find, names
from downshift.hw.generate import generate_verilog
from downshift.hw.top import Top
from downshift.sim.verilator import verilator_environment

STYLE = {
    "CASEINCOMPLETE": "a case statement has no default; every signal has one before it",
    "CMPCONST": "the last of a row of comparisons with 0, 1, 2… may hold always or never",
    "DECLFILENAME": "all modules stand in one file",
    "PROCASSINIT": "a register has both an initial value and a clocked process",
    "UNUSEDSIGNAL": "bits that nobody reads: reserved fields, sums wider than needed",
    "VARHIDDEN": "the CRC of Amaranth's library names a wire like a module",
}
"""Warnings about how Verilog is spelled, not about what it means."""
WIDTH = {
    "WIDTHEXPAND": r"Operator \w+ expects \d+ bits on the [LR]HS, but .* generates \d+ bits\.",
    "WIDTHTRUNC": r"Logical operator LOGNOT expects 1 bit|Assign RHS's SHIFTR generates",
}
"""Widths that Yosys leaves to the rules of Verilog: an operand extended to its neighbour's width,
``!x`` for ``x == 0``, and the low bits of a shift. Any other width warning is ours."""


@pytest.mark.parametrize("board", names())
def test_no_warning_but_of_yosys_spelling(board, tmp_path):
    board = find(board)
    text = generate_verilog(Top(config=board.config, divisor=board.divisor), name="accelerator")
    (tmp_path / "accelerator.v").write_text(text)
    with verilator_environment():
        done = subprocess.run(
            ["verilator", "--lint-only", "-Wall", "-Wno-fatal", "accelerator.v"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
    warnings = re.findall(r"^%(?:Warning|Error)-?(\w*): (.*)$", done.stderr, re.MULTILINE)
    assert any(name == "UNUSEDSIGNAL" for name, _ in warnings)  # the lint did run
    ours = [
        f"{name}: {text}"
        for name, text in warnings
        if name not in STYLE and not (name in WIDTH and re.search(WIDTH[name], text))
    ]
    assert ours == []
