"""Toggles of nets, counted in a value change dump (VCD) while it arrives."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sim.dump_variables import (
    DIGITS,
    FIRST,
    LONGEST_ID,
    Variables,
    id_number,
    no_dump,
)

__all__ = ["Toggles", "count_toggles"]

CHUNK = 1 << 22
"""Bytes that are read at once."""
LONGEST_STEP = 1 << 26
"""Bytes of one time step."""

UNKNOWN, TIME, VECTOR, SKIPPED, WRONG = range(2, 7)
KINDS = np.full(256, WRONG, np.uint8)
"""What a line is, by its first character; 0 and 1 are values of one bit themselves."""
for _characters, _kind in ((b"0", 0), (b"1", 1), (b"xXzZ", UNKNOWN), (b"#", TIME), (b"bB", VECTOR),
                           (b"$rRsS\n", SKIPPED)):  # fmt: skip
    KINDS[list(_characters)] = _kind


@dataclass(frozen=True, kw_only=True, eq=False)
class Toggles:
    """Changes from 0 to 1 and from 1 to 0 in each window of a dump."""

    bits: Mapping[str, range]
    """By name of a variable, with its scopes and dots between them: its columns in `counts`, lowest
    bit first. Names of one net share columns."""
    counts: np.ndarray
    """int64, shape (windows, columns)."""

    def of(self, name: str) -> np.ndarray:
        """Toggles of a variable in each window, all its bits together: int64, shape (windows,)."""
        columns = self.bits[name]
        return self.counts[:, columns.start : columns.stop].sum(1)


def count_toggles(stream: BinaryIO, *, marker: str | None = None) -> Toggles:
    r"""Count toggles in a dump; memory does not grow with its length.

    What a bit is given first is no toggle, nor is a change from or to x or z.

    Parameters
    ----------
    stream : binary file
        VCD of IEEE 1364, one value a line, as Verilator writes it.
    marker : str, optional
        Variable that is 1 while toggles are counted, a window each time. What changes in the same
        time step as the marker is not: it is where a window begins or has ended. Without a marker,
        all is one window.

    Raises
    ------
    DownshiftError
        If the dump is no VCD or cut short, or has no variable `marker`.

    Examples
    --------
    >>> import io
    >>> dump = "$var wire 1 ! clk $end $enddefinitions $end\n#0\n0!\n#1\n1!\n#2\n0!\n"
    >>> count_toggles(io.BytesIO(dump.encode())).of("clk").tolist()
    [2]
    """
    variables = Variables(stream)
    if marker is not None and len(variables.bits.get(marker, ())) != 1:
        raise DownshiftError(f"The trace has no bit {marker}; trace the module that has it")
    counter = _Counter(variables, marker)
    for chunk in _whole_steps(stream):
        counter.add(chunk)
    return Toggles(
        bits=variables.bits,
        counts=np.array(counter.windows, np.int64).reshape(-1, variables.n_bits),
    )


class _Counter:
    """Toggles so far, and what every bit is.

    Parameters
    ----------
    variables : Variables
    marker : str or None
    """

    def __init__(self, variables: Variables, marker: str | None):
        self.variables = variables
        self.marked = marker is not None
        self.marker = -1 if marker is None else variables.bits[marker].start
        self.opened = False
        self.last = np.full(variables.n_bits, UNKNOWN, np.int8)
        self.windows: list[np.ndarray] = []
        if marker is None:
            self.windows.append(np.zeros(variables.n_bits, np.int64))

    def add(self, chunk: bytes) -> None:
        """Go on with whole steps: lines that each end with a newline."""
        text = np.frombuffer(chunk, np.uint8)
        ends = np.flatnonzero(text == ord("\n"))
        starts = np.concatenate([[0], ends[:-1] + 1])
        kinds = KINDS[text[starts]]
        if (kinds == WRONG).any():
            at = int(np.argmax(kinds == WRONG))
            raise no_dump(chunk[starts[at] : ends[at]])
        parts = [self._scalars(chunk, text, starts, ends, kinds)]
        for line in np.flatnonzero(kinds == VECTOR).tolist():
            first, bits = self._vector(chunk[starts[line] : ends[line]])
            at = np.full(len(bits), line)
            parts.append((at, np.arange(first, first + len(bits)), bits))
        lines, columns, values = (np.concatenate(each) for each in zip(*parts, strict=True))
        marker = columns == self.marker
        window = self._windows(kinds, lines[marker], values[marker])

        # What each bit was before, and what it is.
        order = np.sort(columns << 40 | lines << 8 | values)
        columns, lines, values = order >> 40, order >> 8 & 0xFFFFFFFF, order & 0xFF
        before = np.concatenate([[UNKNOWN], values])[:-1]
        new = np.diff(columns, prepend=-1) != 0
        before[new] = self.last[columns[new]]
        newest = np.append(new[1:], True)[: len(new)]
        self.last[columns[newest]] = values[newest]

        toggled = (before + values == 1) & (window[lines] >= 0)
        columns, window = columns[toggled], window[lines[toggled]]
        for number in np.unique(window).tolist():
            self.windows[number] += np.bincount(
                columns[window == number], minlength=self.variables.n_bits
            )

    def _windows(self, kinds, lines, values):
        """By line: the number of the window that it counts in, else -1.

        Given what the marker is told to be, and the lines of that.
        """
        if not self.marked:
            return np.zeros(len(kinds), np.int64)
        steps = np.cumsum(kinds == TIME)
        told = np.full(steps[-1] + 1, -1)
        told[steps[lines]] = values
        # Each step is as the last one before it that was told something.
        at = np.maximum.accumulate(np.where(told >= 0, np.arange(len(told)), -1))
        opened = np.where(at < 0, self.opened, told[at] == 1)
        begins = opened & ~np.concatenate([[self.opened], opened[:-1]])
        window = np.cumsum(begins) + len(self.windows) - 1
        self.opened = bool(opened[-1])
        self.windows += [np.zeros(self.variables.n_bits, np.int64) for _ in range(begins.sum())]
        return np.where(opened & ~begins, window, -1)[steps]

    def _scalars(self, chunk, text, starts, ends, kinds):
        """Lines, columns and values of what has one bit; int64 each."""
        (lines,) = np.nonzero(kinds <= UNKNOWN)
        starts, ends = starts[lines], ends[lines]
        codes = np.zeros(len(lines), np.int64)
        wrong = (ends - starts < 2) | (ends - starts > 1 + LONGEST_ID)
        for place in range(LONGEST_ID):
            at = starts + 1 + place
            there = at < ends
            digits = text[np.where(there, at, 0)].astype(np.int64) - FIRST + 1
            wrong |= there & ((digits < 1) | (digits >= DIGITS))
            codes += np.where(there, digits, 0) * DIGITS**place
        codes[wrong] = 0
        columns = self.variables.columns[codes].astype(np.int64)
        wrong |= (columns < 0) | (self.variables.widths[codes] != 1)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise no_dump(chunk[starts[at] : ends[at]])
        return lines, columns, kinds[lines].astype(np.int64)

    def _vector(self, line: bytes) -> tuple[int, np.ndarray]:
        """First column and values of a variable, lowest bit first."""
        digits, _, name = line[1:].partition(b" ")
        code = id_number(name)
        width = 0 if code is None else int(self.variables.widths[code])
        if code is None or not 1 <= len(digits) <= width:
            raise no_dump(line)
        # What is left out on the left is 0, or as unknown as what stands there.
        filling = b"0" if digits[:1] in b"01" else digits[:1]
        values = KINDS[np.frombuffer(digits.rjust(width, filling), np.uint8)]
        if (values > UNKNOWN).any():
            raise no_dump(line)
        return int(self.variables.columns[code]), values[::-1].astype(np.int64)


def _whole_steps(stream: BinaryIO) -> Iterator[bytes]:
    """Parts of a dump that are cut where a time step ends."""
    rest = b""
    while block := stream.read(CHUNK):
        rest += block
        cut = rest.rfind(b"\n#") + 1
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > LONGEST_STEP:
            raise DownshiftError(
                f"The trace has a time step of more than {LONGEST_STEP:,} bytes; trace less"
            )
    if rest and not rest.endswith(b"\n"):
        raise DownshiftError("The trace ends in the middle of a line; simulate again")
    if rest.strip():
        yield rest
