"""Files that people write, which are short: `read_small`."""

from pathlib import Path

from downshift.hw.errors import DownshiftError

__all__ = ["read_small"]

MOST_BYTES = 1 << 16


def read_small(path: Path) -> bytes:
    """Read a file; what lies beyond 64 KiB is cut off, and makes no JSON any more.

    Raises
    ------
    DownshiftError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DownshiftError(f"Cannot read {path}: {error.strerror or error}") from error
