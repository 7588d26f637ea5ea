"""The choice of words: how many channels and pixels of a map share one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from downshift.hw.table import table_slots
from downshift.sw.integer_graph import LOGIT_WIDTH
from downshift.sw.word_map import WordMap, stored_width
from downshift.sw.word_step import Step, is_dense

__all__ = ["APART", "WordRules", "choose_words"]

MOST_PACK = {4: 0, 8: 1, 16: 2, 32: 2}
"""log2 of the codes that may share a byte, by the channels of a word."""
APART = (4, 32)
"""Channels that words may have at some widths only, each at the price of weights stored again."""


@dataclass(frozen=True, kw_only=True)
class WordRules:
    """What words may be."""

    segments: int
    apart: frozenset[int]
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
    if pooled is not None:
        group, pack = pooled.group, min(pack, pooled.pack)
    else:
        group = _group(entry, pack, takers, maps, rules)
        pack = min(pack, MOST_PACK[group])
    slots = table_slots(pack=pack, channels=group)
    return replace(entry, pack=pack, group=group, strip=-(-height // slots))


def _group(
    entry: WordMap, pack: int, takers: list[Step], maps: Mapping[str, WordMap], rules: WordRules
) -> int:
    """Channels of a word: few where there are no more, or where vectors are fuller for it."""
    height, _, channels = entry.shape
    if pack == 2 and channels > 16 and _is_wide(entry, takers, maps, rules):
        return 32
    if any(entry.name == step.residual for step in takers):
        return 16
    if channels <= 8:
        return 8 if channels > 4 else 4
    others = any(step.layer.groups > 1 or step.residual for step in takers)
    if pack or others or not any(step.kernel == (1, 1) and not step.whole for step in takers):
        return 16
    if 4 not in rules.apart:
        return 16
    # Vectors for a column of pixels.
    few = -(-height // 4) * -(-channels // (4 * rules.segments))
    return 4 if few < height * -(-channels // (16 * rules.segments)) else 16


def _is_wide(
    entry: WordMap, takers: list[Step], maps: Mapping[str, WordMap], rules: WordRules
) -> bool:
    """Whether words of 32 channels need fewer tiles of the depth, for every layer."""
    if 32 not in rules.apart or entry.name in rules.narrow:
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
