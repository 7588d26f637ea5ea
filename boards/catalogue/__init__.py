"""Every board, a file for each product; what stands in a new file is found."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from downshift.boards.board import Board

__all__ = ["BOARDS", "boards_of"]


def boards_of(module: ModuleType) -> Iterator[Board]:
    """Give the boards that a module defines."""
    return (value for value in vars(module).values() if isinstance(value, Board))


BOARDS: tuple[Board, ...] = tuple(
    sorted(
        (
            board
            for found in iter_modules(__path__, f"{__name__}.")
            for board in boards_of(import_module(found.name))
        ),
        key=lambda board: (-board.resources.lut, board.name),
    )
)
"""Every supported board, largest first."""
