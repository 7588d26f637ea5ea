"""Widths files: what each width of a network means, layer by layer."""

import json
from collections.abc import Mapping
from pathlib import Path

from downshift.hw.errors import DownshiftError
from downshift.sw.atomic_write import write_atomically
from downshift.sw.search.choices import Assignment

__all__ = ["load_widths", "save_widths"]

FORMAT = "downshift-widths"
VERSION = 1
ADVICE = "make one by `downshift search`"


def save_widths(path: Path, assignments: Mapping[int, int | Assignment]) -> None:
    """Write what each width means; an interrupted write leaves what was there before."""
    plain = {
        str(width): means if isinstance(means, int) else dict(means)
        for width, means in assignments.items()
    }
    content = {"format": FORMAT, "version": VERSION, "assignments": plain}
    write_atomically(path, json.dumps(content, indent=2) + "\n")


def load_widths(path: Path) -> dict[int, int | dict[str, int]]:
    """Read what each width means.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of int to int or dict of str to int
        By width of the network: the width of all layers, or of each by its path.

    Raises
    ------
    DownshiftError
        If the file cannot be read or holds something else; names what.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DownshiftError(f"Cannot read {path}: {error.strerror or error}; {ADVICE}") from None
    except (ValueError, RecursionError):
        raise DownshiftError(f"{path} is no widths file; {ADVICE}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DownshiftError(f"{path} is no widths file; {ADVICE}")
    if content.get("version") != VERSION:
        raise DownshiftError(
            f"Widths file {path} has version {content.get('version')!r:.40}, this program reads "
            f"{VERSION}; {ADVICE}"
        )
    given = content.get("assignments")
    if not isinstance(given, dict) or not given:
        raise DownshiftError(f"Widths file {path} holds no assignments; {ADVICE}")
    return {_width(path, name): _means(path, name, means) for name, means in given.items()}


def _width(path: Path, name: str) -> int:
    if name not in map(str, range(1, 9)):
        raise DownshiftError(f"Widths file {path}: a width must be 1 to 8 bits, not {name!r:.40}")
    return int(name)


def _means(path: Path, name: str, means) -> int | dict[str, int]:
    values = list(means.values()) if isinstance(means, dict) else [means]
    if not values or not all(type(value) is int and 1 <= value <= 8 for value in values):
        raise DownshiftError(
            f"Widths file {path}: width {name} must mean 1 to 8 bits, or so many for each layer by "
            "its path"
        )
    return means
