"""The cycle model of what reads maps: words on their way to the array or the lanes."""

from collections import deque

from downshift.hw.fetch import Fetch
from downshift.hw.lanes import Lanes
from downshift.hw.residual import Residual
from downshift.hw.slot_sums import SlotSums
from downshift.hw.table_array import TableArray
from downshift.hw.table_config import TableConfig

__all__ = ["ResidualReads", "Words"]

FETCH_LATENCY = Fetch.latency - 1
"""Cycles from asking for a word to where it is taken from."""


class ResidualReads:
    """When the residual takes the place of a word."""

    def __init__(self, layer: dict, config: TableConfig):
        residual = layer["residual"]
        self.left = (residual["last_pixel"] + 1) * (residual["last_tile"] + 1)
        if not residual["enable"]:
            self.left = 0
        slots = 1 << layer["array"]["slots"]
        # From a vector that is taken to the cycle after its last codes were, whose word made room.
        self.delay = slots - 1 + SlotSums.latency - SlotSums.lead
        if layer["separate"]:
            self.delay += Lanes.latency
        else:
            self.delay += layer["array"]["act_width"] - 1
            self.delay += TableArray.latency_of(segments=config.segments)
        self.times: deque[int] = deque()
        for _ in range(min(self.left, Residual.room)):
            self._ask(2)

    def leave(self, taken: int) -> None:
        """Note that a vector with complete sums was taken."""
        if self.left:
            self._ask(taken + self.delay)

    def _ask(self, time: int) -> None:
        self.left -= 1
        self.times.append(max(time, self.times[-1] + 1 if self.times else 0))

    def first_free(self, time: int) -> int:
        """First cycle from `time` on in which a word may be asked for; times must not fall."""
        while self.times and self.times[0] < time:
            self.times.popleft()
        while self.times and self.times[0] == time:
            self.times.popleft()
            time += 1
        return time


class Words:
    """Words on their way from the memory to the lanes, or to the chains, before which one waits."""

    def __init__(self, residual: ResidualReads, *, wait: int):
        self.residual = residual
        self.wait = wait
        self.asked = 0
        self.entered = -1
        self.left: deque[int] = deque([-Fetch.room] * Fetch.room, maxlen=Fetch.room)

    def take(self, count: int, left: int, *, limit: int = 0) -> int:
        """Fetch the words of a vector, whose predecessor leaves at `left`; when it is complete.

        The last one enters not before `limit`.
        """
        for index in range(count):
            earliest = max(self.asked + 1, self.left[0] + 2)
            self.asked = self.residual.first_free(earliest)
            taken = max(self.asked + FETCH_LATENCY, self.left[-1] + 1, self.entered)
            entered = max(taken + self.wait, self.entered + 1)
            if index == 0:
                entered = max(entered, left)
            if index == count - 1:
                entered = max(entered, limit)
            self.entered = entered
            self.left.append(taken if self.wait else entered)
        return self.entered + 1
