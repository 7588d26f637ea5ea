"""Boards: resources, pins, clock, and how a bitstream is built.

Importing this package is cheap: neither the gateware nor any synthesis tool is loaded until
something is generated or built (`downshift.boards.build`).
"""

from downshift.boards.board import Board
from downshift.boards.icebreaker import ICEBREAKER
from downshift.boards.ulx3s import ULX3S_85F
from downshift.hw.errors import DownshiftError

__all__ = ["BOARDS", "Board", "find", "names"]

BOARDS: tuple[Board, ...] = (ULX3S_85F, ICEBREAKER)
"""Every supported board, largest first."""


def names() -> tuple[str, ...]:
    """Names of the supported boards, largest board first."""
    return tuple(board.name for board in BOARDS)


def find(name: str) -> Board:
    """Return the board called `name`.

    Raises
    ------
    DownshiftError
        If there is no such board; the message lists those there are.

    Examples
    --------
    >>> find("icebreaker").family
    'ice40'
    """
    for board in BOARDS:
        if board.name == name:
            return board
    raise DownshiftError(f"There is no board {name!r}; choose one of {', '.join(names())}")
