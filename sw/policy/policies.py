"""Policies: for every frame the width to begin with, and what follows from its logits."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from downshift.hw.errors import DownshiftError

__all__ = ["Budget", "Cascade", "Deadline", "Fixed", "Policy", "margin"]


def margin(logits: np.ndarray) -> np.ndarray:
    """How far the largest logit is above the second, for each row.

    Examples
    --------
    >>> margin(np.array([[1, 7, 4], [5, 5, 0]])).tolist()
    [3, 0]
    """
    if logits.shape[-1] < 2:
        raise DownshiftError("A network with one output has no margin between two; use fixed")
    two = np.partition(logits, -2, axis=-1)[..., -2:].astype(np.int64)
    return two[..., 1] - two[..., 0]


class Policy(ABC):
    """Chooses widths, frame by frame; may keep in mind what frames took."""

    @property
    @abstractmethod
    def widths(self) -> tuple[int, ...]:
        """Those that it may choose."""

    @abstractmethod
    def first(self, seconds_left: float | None = None) -> int:
        """The width to run a frame at.

        Parameters
        ----------
        seconds_left : float, optional
            Until its result is due.
        """

    def then(self, width: int, logits: np.ndarray) -> int | None:
        """The width to run the same frame at again, None if its logits will do."""
        return None

    def spent(self, cycles: int) -> None:
        """Take notice of the cycles of a frame, of all its runs."""
        return


@dataclass(frozen=True)
class Fixed(Policy):
    """Always one width."""

    width: int

    @property
    def widths(self):
        """The one."""
        return (self.width,)

    def first(self, seconds_left=None):
        """The one."""
        return self.width


@dataclass(frozen=True)
class Cascade(Policy):
    """Run at a low width; again at the next one, if two logits are too close to each other.

    Parameters
    ----------
    steps : sequence of (int, int)
        Widths in the order in which they are tried, each with the least margin between its two
        best logits that will do. That of the last counts for nothing.
    """

    steps: tuple[tuple[int, int], ...]

    def __post_init__(self):
        widths = self.widths
        if not widths or len(set(widths)) < len(widths):
            raise DownshiftError(f"A cascade has widths, each once, not {widths}")

    @property
    def widths(self):
        """In order."""
        return tuple(width for width, _ in self.steps)

    def first(self, seconds_left=None):
        """The lowest."""
        return self.steps[0][0]

    def then(self, width, logits):
        """The next, if the margin is too small."""
        at = self.widths.index(width)
        if at + 1 == len(self.steps) or int(margin(logits)) >= self.steps[at][1]:
            return None
        return self.steps[at + 1][0]


class Deadline(Policy):
    """The highest width whose cycles fit into the time that is left; else the fastest.

    Parameters
    ----------
    cycles : mapping of int to int
        Of a frame, by width.
    clock_hz : float
    seconds_besides : float
        What a frame takes besides: the link, the host.
    """

    def __init__(self, cycles: Mapping[int, int], *, clock_hz: float, seconds_besides: float = 0.0):
        if not cycles or clock_hz <= 0 or seconds_besides < 0:
            raise DownshiftError("A deadline needs cycles by width, a clock, and no negative time")
        self.cycles = dict(cycles)
        self.clock_hz = clock_hz
        self.seconds_besides = seconds_besides

    @property
    def widths(self):
        """Highest first."""
        return tuple(sorted(self.cycles, reverse=True))

    def first(self, seconds_left=None):
        """The highest in time; without a deadline, the highest."""
        fastest = min(self.cycles, key=lambda width: (self.cycles[width], -width))
        if seconds_left is None:
            return self.widths[0]
        there = (seconds_left - self.seconds_besides) * self.clock_hz
        return next((width for width in self.widths if self.cycles[width] <= there), fastest)


class Budget(Policy):
    """The highest width with which the last frames, and this one, keep to a number of cycles.

    Cycles stand for energy, which they are nearly proportional to at one clock.

    Parameters
    ----------
    cycles : mapping of int to int
        Of a frame, by width.
    mean : float
        Cycles a frame, over any `window` frames in a row; at least those of the cheapest width.
    window : int
    """

    def __init__(self, cycles: Mapping[int, int], *, mean: float, window: int):
        least = min(cycles.values())
        if mean < least:
            raise DownshiftError(
                f"A budget of {mean:g} cycles a frame is below the least possible, {least:,}"
            )
        if window < 1:
            raise DownshiftError(f"A window must have at least one frame, not {window}")
        self.cycles = dict(cycles)
        self.mean = mean
        self.window = window
        self._spent: deque[int] = deque(maxlen=window - 1 or None)

    @property
    def widths(self):
        """Highest first."""
        return tuple(sorted(self.cycles, reverse=True))

    def first(self, seconds_left=None):
        """The highest that leaves the cheapest for the frames that are to come."""
        cheapest = min(self.cycles.values())
        before = list(self._spent)[-(self.window - 1) :] if self.window > 1 else []
        for width in self.widths:
            if self._keeps(before, self.cycles[width], cheapest):
                return width
        return min(self.cycles, key=lambda width: (self.cycles[width], -width))

    def _keeps(self, before: Sequence[int], cycles: int, cheapest: int) -> bool:
        """Whether every window that this frame is in keeps to the budget, if it can."""
        allowed = self.mean * self.window
        frames = [*before, cycles]
        for start in range(len(frames)):
            within = frames[start:]
            if sum(within) + (self.window - len(within)) * cheapest > allowed:
                return False
        return True

    def spent(self, cycles):
        """Remember it, for as long as the window is."""
        if self.window > 1:
            self._spent.append(cycles)
