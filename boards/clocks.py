"""The clocks that a board can have: `clocks_below`."""

from collections.abc import Iterator
from dataclasses import replace
from math import floor

from downshift.boards.board import Board
from downshift.boards.families import FAMILIES
from downshift.hw.errors import DownshiftError

__all__ = ["clocks_below"]

STEP_HZ = 250_000
MOST_BAUD_ERROR = 0.01
"""Relative; a serial port samples the middle of its tenth bit up to twice that."""
LEAST_DIVISOR = 8
"""Cycles of a serial bit, for the receiver to find its middle."""


def clocks_below(board: Board, mhz: float) -> Iterator[int]:
    """Give the frequencies in Hz, highest first, that the PLL of a board makes up to `mhz`.

    Only multiples of 250 kHz, and of those the ones at which the serial port keeps its rate.

    Examples
    --------
    >>> from downshift.boards import find
    >>> next(clocks_below(find("ulx3s-85f"), 96.53))
    95000000
    """
    for steps in range(floor(mhz * 1e6 / STEP_HZ), 0, -1):
        clocked = replace(board, clock_hz=steps * STEP_HZ)
        if clocked.divisor < LEAST_DIVISOR:
            return
        if abs(clocked.serial_hz / board.baud - 1) >= MOST_BAUD_ERROR:
            continue
        try:
            if clocked.clock_hz != board.oscillator_hz:
                FAMILIES[board.family].dividers(board.oscillator_hz, clocked.clock_hz)
        except DownshiftError:
            continue
        yield clocked.clock_hz
