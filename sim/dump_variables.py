"""What variables a value change dump (VCD) has: `Variables`."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from downshift.hw.errors import DownshiftError

__all__ = ["DIGITS", "FIRST", "LONGEST_ID", "Variables", "id_number", "no_dump"]

LONGEST_DECLARATION = 1 << 16
MOST_BITS = 1 << 22
MOST_DIGITS = len(str(MOST_BITS))
FIRST, LAST, LONGEST_ID = ord("!"), ord("~"), 3
"""Characters of the ids by which the dump calls variables."""
DIGITS = LAST - FIRST + 2
IDS = DIGITS**LONGEST_ID
REAL_TYPES = (b"real", b"realtime", b"string", b"event")
"""Without bits that could toggle."""


class Variables:
    """The declarations of a dump.

    Parameters
    ----------
    stream : binary file
        Is read up to the first value.

    Attributes
    ----------
    bits : dict of str to range
        By name, with the scopes and dots between them: the columns of a variable, lowest bit first.
        Names with one id share them.
    n_bits : int
        Columns in all.
    columns, widths : int32 array, shape (ids,)
        By `id_number`: the first column, -1 if there is no such variable, and bits.

    Raises
    ------
    DownshiftError
        If these are no declarations.
    """

    def __init__(self, stream: BinaryIO):
        self.bits: dict[str, range] = {}
        self.n_bits = 0
        self.columns = np.full(IDS, -1, np.int32)
        self.widths = np.zeros(IDS, np.int32)
        scopes: list[str] = []
        for keyword, *words in _declarations(stream):
            if keyword == b"$scope" and len(words) == 2:
                scopes.append(words[1].decode(errors="replace"))
            elif keyword == b"$upscope" and scopes:
                scopes.pop()
            elif keyword == b"$var":
                self._declare(scopes, words)
            elif keyword in (b"$scope", b"$upscope"):
                raise no_dump(b" ".join([keyword, *words]))

    def _declare(self, scopes: list[str], words: list[bytes]) -> None:
        line = b" ".join(words)
        if len(words) not in (4, 5) or not words[1].isdigit() or len(words[1]) > MOST_DIGITS:
            raise no_dump(line)
        kind, width, code = words[0], int(words[1]), id_number(words[2])
        if code is None or not 1 <= width <= MOST_BITS:
            raise no_dump(line)
        if kind in REAL_TYPES:
            return
        if self.columns[code] < 0:
            self.columns[code], self.widths[code] = self.n_bits, width
            self.n_bits += width
        if self.widths[code] != width or self.n_bits > MOST_BITS:
            raise no_dump(line)
        name = ".".join([*scopes, words[3].decode(errors="replace")])
        first = int(self.columns[code])
        columns = range(first, first + width)
        if self.bits.setdefault(name, columns) != columns:
            raise no_dump(line)


def _declarations(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Words of each declaration, up to those that end them."""
    words: list[bytes] = []
    while line := stream.readline(LONGEST_DECLARATION):
        for word in line.split():
            if word != b"$end":
                words.append(word)
                continue
            if words and words[0] == b"$enddefinitions":
                return
            yield words or [b""]
            words = []
        if len(words) > LONGEST_DECLARATION or (words and not words[0].startswith(b"$")):
            raise no_dump(line)
    raise DownshiftError("The trace ends among its declarations; simulate again")


def id_number(name: bytes) -> int | None:
    """Number of an id; None if it is none."""
    if not 1 <= len(name) <= LONGEST_ID or not all(FIRST <= each <= LAST for each in name):
        return None
    return sum((each - FIRST + 1) * DIGITS**place for place, each in enumerate(name))


def no_dump(line: bytes) -> DownshiftError:
    """Tell which line is not understood."""
    shown = line[:40].decode(errors="replace").strip()
    return DownshiftError(f"The trace is no value change dump that is read here: {shown!r}")
