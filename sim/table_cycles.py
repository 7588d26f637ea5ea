"""The cycle model of the table style: how long each pass of a program takes, and what for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from downshift.hw.block_ram import BlockRam
from downshift.hw.conv_core import ConvCore
from downshift.hw.conv_layer import ConvLayer
from downshift.hw.fetch import Fetch
from downshift.hw.lanes import Lanes
from downshift.hw.pass_queue import PassQueue
from downshift.hw.rescale import Rescale
from downshift.hw.sequencer import Sequencer
from downshift.hw.slot_sums import SlotSums
from downshift.hw.table import LANES
from downshift.hw.table_array import TableArray
from downshift.hw.table_config import COLUMNS, ROWS, TableConfig
from downshift.hw.table_fill import fill_cycles
from downshift.hw.tile_loader import TileLoader
from downshift.hw.word_chains import CHAIN
from downshift.hw.word_format import CODES
from downshift.hw.word_pool import WordPool
from downshift.hw.word_writer import WordWriter
from downshift.sim.dense_cycles import dense_cycles
from downshift.sim.word_cycles import ResidualReads, Words

__all__ = ["Ahead", "PassCycles", "pass_cycles", "program_cycles"]


@dataclass(frozen=True, kw_only=True)
class PassCycles:
    """Predicted cycles of a pass, from `start` to `done`; what came ahead of it does not count."""

    total: int
    vectors: int
    """Vectors that enter the array."""
    busy: int
    """Cycles in which the array looks up bits."""
    fill: int
    """Cycles in which tables are filled."""
    load_wait: int
    """Cycles in which the tables wait for weights."""
    fetch_wait: int
    """Cycles in which the array waits for words of the map."""
    left: "Ahead"
    """What the pass that follows may do ahead, in cycles of this one."""


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """From when on a pass may make use of the array before it starts."""

    load: int = 0
    """Cycle in which the first weights are asked for."""
    fill: int = 0
    """Cycle from which on tables may be filled."""

    def seen_from(self, start: int) -> "Ahead":
        """Return the same, with cycles counted from `start`."""
        return Ahead(load=self.load - start, fill=self.fill - start)


def program_cycles(layers: Iterable[dict], config: TableConfig) -> list[tuple[int, PassCycles]]:
    """Predict the passes of a frame.

    Parameters
    ----------
    layers : iterable of dict
        Fields of each `ConvLayer`, in order.
    config : TableConfig

    Returns
    -------
    list of (int, PassCycles)
        When each pass starts, in cycles from the start of the frame.
    """
    fetch = Sequencer.fetch_latency_of(ConvLayer, BlockRam.latency)
    known, done, ahead = Sequencer.lookup_latency_of(BlockRam.latency) + fetch, 0, Ahead()
    passes = []
    for layer in layers:
        start = max(known, done) + PassQueue.latency
        ahead = Ahead(load=min(start, max(known + 1, ahead.load)), fill=ahead.fill)
        predicted = pass_cycles(layer, config, ahead.seen_from(start))
        passes.append((start, predicted))
        ahead = predicted.left.seen_from(-start)
        known = start - PassQueue.latency + 1 + PassQueue.release + fetch
        done = start + predicted.total
    return passes


def pass_cycles(layer: dict, config: TableConfig, ahead: Ahead = Ahead()) -> PassCycles:
    """Predict a pass.

    Parameters
    ----------
    layer : dict
        Fields of a `ConvLayer`.
    config : TableConfig
    ahead : Ahead
        From when on it may load weights and fill tables.

    Notes
    -----
    Words of the map are read one a cycle while there is room behind the memory, and complete
    vectors, one every `cycles` at best. A tile's tables are filled when its last vector before is
    done and its weights are loaded; the next weights are loaded once the tables are filled. Reads
    of a residual each take the place of a word.
    """
    if layer["pool"]:
        return _pool(layer, ahead)
    if layer["lanes"]["dense"]:
        return _dense(layer, config, ahead)
    if layer["separate"]:
        return _columns(layer, config, ahead)
    array = layer["array"]
    load = _load_cycles(layer, config)
    fill = fill_cycles(LANES << layer["loader"]["group"], pack=array["pack"])
    words = Words(ResidualReads(layer, config), wait=1)
    tiles = list(_tiles(layer, config))

    loaded = (
        ahead.load + 2 + TileLoader.latency + load
    )  # when all weights of the next tile are there
    taken, ready, busy, filled, load_wait, fetch_wait, vectors = 0, ahead.fill, 0, 0, 0, 0, 0
    for counts, last in tiles:
        begin = max(loaded, ready)
        load_wait += max(0, begin - max(0, ready))
        held = begin + fill
        filled += max(0, begin + fill) - max(0, begin)
        loaded = held + 1 + load
        free = held
        for count in counts:
            complete = words.take(count, taken)
            taken = max(complete, free)
            fetch_wait += taken - max(0, free)
            free = taken + array["cycles"]
            busy += array["act_width"]
            vectors += 1
            if last:
                words.residual.leave(taken)
        ready = taken + 1 + max(0, array["act_width"] - 1)
    total = taken + array["act_width"] - 1 + TableArray.latency_of(segments=config.segments)
    total += _after_sums(layer)
    return PassCycles(
        total=total,
        vectors=vectors,
        busy=busy,
        fill=filled,
        load_wait=load_wait,
        fetch_wait=fetch_wait,
        left=Ahead(load=held + 1, fill=ready),
    )


def _after_sums(layer: dict) -> int:
    """Cycles from the last sums to `done`."""
    total = SlotSums.latency + (1 << layer["array"]["slots"]) - 1
    last = CODES - 1 if layer["writer"]["logits"] else layer["writer"]["last_word"]
    total += WordWriter.latency + last + 1 + ConvCore.write_latency
    if not layer["writer"]["logits"]:
        total += 1 + Rescale.latency
    return total


def _columns(layer: dict, config: TableConfig, ahead: Ahead) -> PassCycles:
    """A pass over a depthwise layer in lanes: a column of the kernel's height after the other."""
    fetch, lanes = layer["fetch"], layer["lanes"]
    kernel, slots = lanes["last_row"] + 1, 1 << layer["array"]["slots"]
    columns = (fetch["last_row"] + 1) * (fetch["last_column"] + 1)
    words = Words(ResidualReads(layer, config), wait=0)
    asked, last, complete, outputs = 2, [-1, -1], 0, 0
    limit = 0  # when the next output may come
    fetch_wait = load_wait = 0
    turned = ROWS + 2 + BlockRam.latency  # when the parameters of the tile hold
    for tile in range(fetch["last_tile"] + 1):
        asked = max(asked, last[tile % 2] + 2 if tile > 1 else 0)
        loaded = asked + kernel + TileLoader.latency
        asked += max(2, kernel)
        load_wait += max(0, loaded - (last[1 - tile % 2] + 1))
        for column in range(columns):
            within = column % (fetch["last_column"] + 1) - (CHAIN - 1)
            gives = within >= 0 and within % (lanes["stride"] + 1) == 0
            free = max(loaded, turned)
            could = max(max(free, complete + 1) + kernel - 1, limit if gives else 0)
            complete = words.take(kernel, free, limit=limit if gives else 0) - 1
            fetch_wait += complete - could
            if gives:
                outputs += 1
                words.residual.leave(complete)
                limit = complete + lanes["cycles"]
        last[tile % 2] = complete
        left = complete + Lanes.latency + SlotSums.latency + slots - 1
        turned = 1 + max(left + 1 + Rescale.latency, turned + ROWS)
    return PassCycles(
        total=complete + Lanes.latency + _after_sums(layer),
        vectors=outputs,
        busy=outputs * kernel,
        fill=0,
        load_wait=load_wait,
        fetch_wait=fetch_wait,
        left=Ahead(load=max(ahead.load, loaded + 1), fill=ahead.fill),
    )


def _dense(layer: dict, config: TableConfig, ahead: Ahead) -> PassCycles:
    """A pass over a layer in lanes of which each weight counts once."""
    predicted = dense_cycles(layer, config)
    return PassCycles(
        total=predicted.total + _after_sums(layer),
        vectors=0,
        busy=predicted.busy,
        fill=0,
        load_wait=predicted.load_wait,
        fetch_wait=predicted.fetch_wait,
        left=Ahead(load=max(ahead.load, predicted.loaded + 1), fill=ahead.fill),
    )


def _pool(layer: dict, ahead: Ahead) -> PassCycles:
    fetch = layer["fetch"]
    words = (fetch["last_kernel_row"] + 1) * (fetch["last_kernel_column"] + 1)
    for name in ("last_tile", "last_row", "last_column"):
        words *= fetch[name] + 1
    total = Fetch.latency + words - 1 + WordPool.latency + 1 + ConvCore.write_latency
    return PassCycles(total=total, vectors=0, busy=0, fill=0, load_wait=0, fetch_wait=0, left=ahead)


def _load_cycles(layer: dict, config: TableConfig) -> int:
    return (LANES << layer["loader"]["group"]) * (config.segments // COLUMNS)


def _tiles(layer: dict, config: TableConfig) -> Iterator[tuple[list[int], bool]]:
    """Words read for each vector of each tile, and whether it is the last of the depth."""
    fetch = layer["fetch"]
    rows, columns = fetch["last_row"] + 1, fetch["last_column"] + 1
    kernel = (fetch["last_kernel_row"] + 1) * (fetch["last_kernel_column"] + 1)
    field = kernel * (1 if fetch["separate"] else fetch["last_group"] + 1)
    depth = []
    for first in range(0, field, config.segments):
        count = min(config.segments, field - first)
        following = count - count // COLUMNS * fetch["slide"]
        depth.append(([count] + [following] * (columns - 1)) * rows)
    for _ in range(fetch["last_tile"] + 1):
        for index, counts in enumerate(depth):
            yield counts, index + 1 == len(depth)
