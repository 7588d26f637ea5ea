"""Boards: resources, pins, clock, and how a bitstream is built.

Importing this package is cheap: neither the gateware nor any synthesis tool is loaded until
something is generated (`downshift.boards.generate`) or built (`downshift.boards.build`).
"""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from downshift.boards.board import Board
from downshift.boards.catalogue import BOARDS, boards_of
from downshift.hw.errors import DownshiftError

__all__ = ["BOARDS", "Board", "find", "names"]


def names() -> tuple[str, ...]:
    """Names of the supported boards, largest board first."""
    return tuple(board.name for board in BOARDS)


def find(name: str) -> Board:
    """Return the board called `name`, or the one that the Python file `name` defines.

    Raises
    ------
    DownshiftError
        If there is no such board; the message lists those there are. If a file cannot be run, or
        defines no board or several.

    Examples
    --------
    >>> find("icebreaker").family
    'ice40'
    """
    for board in BOARDS:
        if board.name == name:
            return board
    if name.endswith(".py"):
        return _load(Path(name))
    raise DownshiftError(f"There is no board {name!r}; choose one of {', '.join(names())}")


def _load(path: Path) -> Board:
    """Run a file of one's own that defines a board."""
    spec = spec_from_file_location("downshift_board", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except FileNotFoundError as error:
        raise DownshiftError(f"There is no file {path}; name one that defines a board") from error
    except Exception as error:
        raise DownshiftError(
            f"{path} does not define a board: {type(error).__name__}: {error}"
        ) from error
    found = list(boards_of(module))
    if len(found) != 1:
        raise DownshiftError(f"{path} defines {len(found)} boards; define one")
    return found[0]
