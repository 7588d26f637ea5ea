"""The choice of words: how many channels and pixels of a map share one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from downshift.hw.table import table_slots
from downshift.hw.table_config import ROWS
from downshift.hw.table_fill import fill_cycles
from downshift.sw.compile.word_map import WordMap, stored_width
from downshift.sw.compile.word_step import Step, is_dense, lane_columns, suits_lanes
from downshift.sw.graph.integer_graph import LOGIT_WIDTH

__all__ = ["LIBERTIES", "Liberty", "WordRules", "choose_words"]

Liberty = Literal["unpacked", "few", "wide"]

MOST_PACK = {4: 0, 8: 1, 16: 2, 32: 2}
"""log2 of the codes that may share a byte, by the channels of a word."""
LIBERTIES: tuple[Liberty, ...] = ("unpacked", "few", "wide")
"""What makes a network faster, but takes memory: maps of depthwise layers with one code a byte; and
words of four or eight channels, or of 32, at some widths only, for which weights are stored again.
"""


@dataclass(frozen=True, kw_only=True)
class WordRules:
    """What words may be."""

    segments: int
    liberties: frozenset[Liberty]
    narrow: set[str] = field(default_factory=set)
    """Maps of which a word has no more than 16 channels."""
    single: set[str] = field(default_factory=set)
    """Maps of which a word has but one pixel."""


def choose_words(
    entry: WordMap,
    width: int,
    steps: tuple[Step, ...],
    maps: Mapping[str, WordMap],
    rules: WordRules,
) -> WordMap:
    """The map with `pack`, `group` and the least strip; the maps that come of it are known."""
    height = entry.shape[0]
    takers = [step for step in steps if entry.name in (step.source, step.residual)]
    dense = any(
        is_dense(step, entry.shape if step.target == entry.name else maps[step.target].shape)
        for step in steps
        if entry.name in (step.source, step.target)
    )
    if entry.width == LOGIT_WIDTH or entry.name in rules.single or dense:
        return replace(entry, strip=height)
    pooled = next((maps[step.target] for step in takers if step.pool), None)
    pack = _pack(2, entry.width)
    for step in takers:
        setting = step.layer.settings[width]
        if step.source == entry.name and not step.pool:
            pack = min(pack, _pack(setting.weight_width, setting.in_width))
    for step in takers:
        if pack == 1 and suits_lanes(step, maps[step.target].shape):
            pack = _depthwise_pack(entry, step, maps[step.target].shape, rules)
    if pooled is not None:
        group, pack = pooled.group, min(pack, pooled.pack)
    else:
        givers = [step for step in steps if entry.name == step.target]
        group = _group(entry, pack, takers, givers, maps, rules)
        pack = min(pack, MOST_PACK[group])
    slots = table_slots(pack=pack, channels=group)
    return replace(entry, pack=pack, group=group, strip=-(-height // slots))


def _group(
    entry: WordMap,
    pack: int,
    takers: list[Step],
    givers: list[Step],
    maps: Mapping[str, WordMap],
    rules: WordRules,
) -> int:
    """Channels of a word: few where there are no more, or where vectors are fuller for it."""
    channels = entry.shape[2]
    if pack == 2 and channels > 16 and _is_wide(entry, takers, maps, rules):
        return 32
    if any(entry.name == step.residual for step in takers):
        return 16
    if channels <= 8:
        return 8 if channels > 4 else 4
    others = any(step.layer.groups > 1 or step.residual for step in takers)
    if pack or others or not any(step.kernel == (1, 1) and not step.whole for step in takers):
        return 16
    if "few" not in rules.liberties:
        return 16
    return min((16, 8, 4), key=lambda group: _cycles(entry, group, takers, givers, rules))


def _depthwise_pack(
    entry: WordMap, step: Step, shape: tuple[int, int, int], rules: WordRules
) -> int:
    """One, for the array; or zero if lanes compute a depthwise layer sooner."""
    if "unpacked" not in rules.liberties:
        return 1
    group = 8 if entry.shape[2] <= 8 else 16
    slots = table_slots(pack=0, channels=group)
    words = step.kernel[0] * lane_columns(step, shape)
    lanes = -(-shape[2] // group) * -(-shape[0] // slots) * words
    depth = -(-step.kernel[0] * step.kernel[1] // rules.segments)
    pixels = -(-shape[0] // table_slots(pack=1, channels=16)) * shape[1]
    filled = fill_cycles(16, pack=1) + pixels * stored_width(entry.width)
    return int(-(-shape[2] // ROWS) * depth * filled < lanes)


def _cycles(
    entry: WordMap, group: int, takers: list[Step], givers: list[Step], rules: WordRules
) -> int:
    """Cycles to compute a column of a map in words of `group` channels, and to use it."""
    height, _, channels = entry.shape
    slots = ROWS // group
    rows = -(-height // slots)
    total = 0
    for step in takers:
        vectors = rows // step.stride[0] * -(-channels // (group * rules.segments))
        total += vectors * -(-step.layer.out_channels // ROWS) * stored_width(entry.width)
    for step in givers:
        if step.layer.groups > 1:
            words = max(slots, step.kernel[0] * step.stride[1])  # written, or read
            total += rows * slots * -(-channels // ROWS) * words
    return total


def _is_wide(
    entry: WordMap, takers: list[Step], maps: Mapping[str, WordMap], rules: WordRules
) -> bool:
    """Whether words of 32 channels need fewer tiles of the depth, for every layer."""
    if "wide" not in rules.liberties or entry.name in rules.narrow:
        return False
    for step in takers:
        if step.layer.groups > 1 or step.whole:
            return False
        if step.source == entry.name:
            words = step.kernel[0] * step.kernel[1]
            depth = [
                -(-words * -(-entry.shape[2] // group) // rules.segments) for group in (16, 32)
            ]
            if depth[1] >= depth[0]:
                return False
        elif step.source not in maps or maps[step.source].group != 32:
            return False
    return bool(takers)


def _pack(weight_width: int, act_width: int) -> int:
    """log2 of the codes that may share a byte."""
    act_width = stored_width(act_width)
    return 2 if max(weight_width, act_width) <= 2 else int(weight_width <= 6 and act_width <= 4)
