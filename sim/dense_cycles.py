"""The cycle model of layers in which each weight counts once: what lanes do, cycle by cycle."""

from collections import deque
from dataclasses import dataclass

from downshift.hw.block_ram import BlockRam
from downshift.hw.code_groups import groups_of
from downshift.hw.fetch import Fetch
from downshift.hw.lanes import Lanes
from downshift.hw.rescale import Rescale
from downshift.hw.slot_sums import SlotSums
from downshift.hw.table_config import ROWS, TableConfig
from downshift.hw.tile_loader import TileLoader
from downshift.hw.word_chains import CHAIN

__all__ = ["DenseCycles", "dense_cycles"]


@dataclass(frozen=True, kw_only=True)
class DenseCycles:
    """A pass, from `start` to its last sums."""

    total: int
    loaded: int
    """When all weights have come."""
    busy: int
    load_wait: int
    fetch_wait: int


def dense_cycles(layer: dict, config: TableConfig) -> DenseCycles:
    """Predict a pass of a layer in lanes whose outputs take all codes.

    Parameters
    ----------
    layer : dict
        Fields of a `ConvLayer`.
    config : TableConfig
    """
    fetch = layer["fetch"]
    kernel = (fetch["last_kernel_row"] + 1) * (fetch["last_kernel_column"] + 1)
    field = kernel * (fetch["last_group"] + 1)
    depth = [min(config.segments, field - first) for first in range(0, field, config.segments)]
    tiles = fetch["last_tile"] + 1
    codes = _Codes(depth * tiles)
    weights = _Weights([groups_of(count) for count in depth * tiles])
    turned = ROWS + 2 + BlockRam.latency  # when the parameters of the tile hold
    busy = load_wait = fetch_wait = completed = 0
    free = 0  # when the sums of the vector before are put together
    time = 0
    while completed < len(depth) * tiles:
        hold = time < turned
        weights.step(time, asked=time > Fetch.latency and not hold)
        complete = codes.offered and codes.offered[0]
        taken = codes.offered and weights.queued and time >= free and not (complete and hold)
        fetch_wait += not codes.offered
        load_wait += bool(codes.offered) and not weights.queued
        if taken:
            busy += 1
            weights.take(complete)
        if taken and complete:
            completed += 1
            free = time + CHAIN
            if completed % len(depth) == 0:
                left = time + CHAIN - 1 + Lanes.latency + SlotSums.latency
                turned = 1 + max(left + 1 + Rescale.latency, turned + ROWS)
        codes.step(time, bool(taken))
        time += 1
    return DenseCycles(
        total=time - 1 + CHAIN - 1 + Lanes.latency,
        loaded=weights.end + TileLoader.latency,
        busy=busy,
        load_wait=load_wait,
        fetch_wait=fetch_wait,
    )


class _Weights:
    """Weights on their way from the loader, and those that wait."""

    def __init__(self, counts: list[int]):
        self.counts = deque(counts)  # of vectors that were not begun
        self.end = 2  # when the loader has read all of those that were
        self.coming: deque[int] = deque()
        self.queued = 0
        self.promised = 0
        self.room = False
        self.changes = [0, 0]  # of this cycle: of `queued`, and of `promised`

    def step(self, time: int, *, asked: bool) -> None:
        """Begin a cycle; `asked` is whether codes are there, and parameters hold."""
        self.queued += self.changes[0]
        self.promised += self.changes[1]
        self.changes = [0, 0]
        begun = bool(self.counts) and self.room and time >= self.end
        self.room = asked and self.promised < 2 and self.queued <= Lanes.few and not begun
        if begun:
            count = self.counts.popleft()
            self.end = time + count
            first = time + TileLoader.latency
            self.coming += range(first, first + count)
            self.changes[1] += 1
        if self.coming and self.coming[0] == time:
            self.coming.popleft()
            self.changes[0] += 1

    def take(self, complete: bool) -> None:
        """Use the weights that have waited longest; the vector is `complete`."""
        self.changes[0] -= 1
        self.changes[1] -= complete


class _Codes:
    """Words on their way from the memory, the one that waits, and groups that are offered."""

    def __init__(self, counts: list[int]):
        words = [(k, k == count - 1) for count in counts for k in range(count)]
        self.words = deque(_group_ends(k, complete) for k, complete in words)
        self.asked = 0
        self.left = deque([-Fetch.room] * Fetch.room, maxlen=Fetch.room)
        self.waiting: list[bool] = []  # groups of the word that waits: whether they end a vector
        self.left_of_word: deque[bool] = deque()  # groups of the word before it
        self.offered: deque[bool] = deque()  # groups in the skid buffer

    def step(self, time: int, taken: bool) -> None:
        """End a cycle, in which a group was taken or not."""
        moves = self.left_of_word and len(self.offered) < 2
        if taken:
            self.offered.popleft()
        if moves:
            self.offered.append(self.left_of_word.popleft())
        if self.waiting and not self.left_of_word:
            self.left_of_word.extend(self.waiting)
            self.waiting = []
        elif not self.waiting and self.words:
            asked = max(self.asked + 1, self.left[0] + 2)
            if asked + Fetch.latency - 1 <= time:
                self.asked = asked
                self.left.append(time)
                self.waiting = self.words.popleft()


def _group_ends(index: int, complete: bool) -> list[bool]:
    """Groups that come with a word of a vector; whether the vector is complete with each."""
    spare = index % CHAIN == CHAIN - 1 or complete
    return [False] * (groups_of(1) - 1) + [complete] * spare
