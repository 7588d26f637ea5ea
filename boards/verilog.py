"""The Verilog of a whole board, as a person would want to read it."""

import re

from downshift.boards.board import Board
from downshift.boards.board_top import BoardTop
from downshift.boards.families.family import TOP
from downshift.hw.generate import generate_verilog

__all__ = ["board_verilog", "plain_verilog"]

ZERO_MEMORY = re.compile(r"  initial begin\n(?:    \S+ ?\[\d+\] = \d+'[bdh]0+;\n)+  end\n")
"""Zeros for every word of a memory: thousands of lines, and iCE40 SPRAM cannot start so."""

SOURCE = re.compile(r'^ *\(\* src = ".*" \*\)\n', re.MULTILINE)
"""Paths of the machine that generated the file."""


def board_verilog(board: Board, core) -> str:
    """Write `BoardTop` of `board` around `core` as hierarchical Verilog.

    Memories that Amaranth starts with zeros start undefined; the accelerator writes before it
    reads.

    Parameters
    ----------
    board : Board
    core : wiring.Component
        With members ``rx: In(1)`` and ``tx: Out(1)``.

    Returns
    -------
    str
        The same for the same arguments.
    """
    return plain_verilog(BoardTop(board=board, core=core), name=TOP)


def plain_verilog(component, *, name):
    """Write a component as `generate_verilog` does, without paths and zeros of memories."""
    text = generate_verilog(component, name=name)
    return SOURCE.sub("", ZERO_MEMORY.sub("", text))
