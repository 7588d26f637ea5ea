"""The plan of a table accelerator: in which words every map lies, and what each pass computes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from downshift.hw.depthwise import DepthwiseLanes
from downshift.hw.errors import DownshiftError
from downshift.hw.table import table_slots
from downshift.hw.table_config import ROWS
from downshift.hw.word_chains import CHAIN
from downshift.hw.writer_layer import words_per_tile
from downshift.sw.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph, Layer
from downshift.sw.word_map import WordMap, stored_width

__all__ = ["APART", "Plan", "Step", "check_sizes", "lane_columns", "plan_words", "slots_of"]

MOST_PACK = {4: 0, 8: 1, 16: 2, 32: 2}
"""log2 of the codes that may share a byte, by the channels of a word."""
APART = (4, 32)
"""Channels that words may have at some widths only, each at the price of weights stored again."""
ROUNDS = 64
"""Strips that still change after as many rounds never settle."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A layer, or the pool after one."""

    layer: Layer
    source: str
    target: str
    pool: bool = False

    @property
    def residual(self) -> str | None:
        """Map that is added."""
        return None if self.pool else self.layer.residual

    @property
    def stride(self) -> tuple[int, int]:
        """Rows and columns from one output to the next."""
        return self.layer.pool.stride if self.pool else self.layer.stride

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of a window."""
        return self.layer.pool.size if self.pool else self.layer.kernel

    @property
    def whole(self) -> bool:
        """Whether all pixels become one."""
        return self.layer.average and not self.pool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Maps of all steps at one width; those before a pool have names of their own."""

    steps: tuple[Step, ...]
    maps: Mapping[str, WordMap]

    def in_lanes(self, step: Step, sum_width: int) -> bool:
        """Whether a step is for `DepthwiseLanes` of sums of `sum_width` bits."""
        source, target = self.maps[step.source], self.maps[step.target]
        if step.pool or step.layer.groups == 1 or source.pack or source.group < 8:
            return False
        rows, columns = step.kernel
        fits = rows <= DepthwiseLanes.most_rows(sum_width=sum_width) and columns == CHAIN
        return fits and lane_columns(step, target) <= 256

    def rows(self, step: Step) -> int:
        """Output rows of a slot."""
        source, target = self.maps[step.source], self.maps[step.target]
        if step.whole:
            return 1
        if slots_of(source) > 1:
            return source.strip // step.stride[0]
        return target.strip * slots_of(target)


def plan_words(
    graph: IntegerGraph, width: int, *, segments: int, apart: Collection[int] = APART
) -> Plan:
    """Choose words and strips for every map.

    Few channels share a word with other pixels, and narrow codes a byte, where every layer that
    takes the map can have it so; else a word has 16 channels of one pixel.

    Parameters
    ----------
    graph : IntegerGraph
    width : int
        One of ``graph.widths``.
    segments : int
        Words of a vector.
    apart : collection of int
        Channels that words may have at this width though not at others, so that weights are stored
        once more: of `APART`.

    Returns
    -------
    Plan
        Maps have no place yet.
    """
    steps = _steps(graph)
    rules = _Rules(segments=segments, apart=frozenset(apart))
    while isinstance(plan := _settle(graph, width, steps, rules), dict):
        wide = {name for name, group in plan.items() if group > ROWS}
        held, names = (rules.narrow, wide) if wide else (rules.single, set(plan))
        assert not names <= held
        held |= names
    return plan


@dataclass(frozen=True, kw_only=True)
class _Rules:
    """What words may be."""

    segments: int
    apart: frozenset[int]
    narrow: set[str] = field(default_factory=set)
    """Maps of which a word has no more than 16 channels."""
    single: set[str] = field(default_factory=set)
    """Maps of which a word has but one pixel."""


def _steps(graph: IntegerGraph) -> tuple[Step, ...]:
    steps = []
    for layer in graph.layers:
        source, target = graph.source_of(layer), layer.name
        if layer.pool is None:
            steps.append(Step(layer=layer, source=source, target=target))
        else:
            between = f"{target} before its pool"
            steps.append(Step(layer=layer, source=source, target=between))
            steps.append(Step(layer=layer, source=between, target=target, pool=True))
    return tuple(steps)


def lane_columns(step: Step, target: WordMap) -> int:
    """Columns of the input that a row of outputs needs."""
    return (target.shape[1] - 1) * step.stride[1] + step.kernel[1]


def slots_of(entry: WordMap) -> int:
    """Pixels that share a word."""
    return 1 if entry.width == LOGIT_WIDTH else table_slots(pack=entry.pack, channels=entry.group)


def _settle(
    graph: IntegerGraph, width: int, steps: tuple[Step, ...], rules: _Rules
) -> Plan | dict[str, int]:
    """A plan, or the channels of a word of the maps that must be other for there to be one."""
    maps: dict[str, WordMap] = {}
    shapes = {INPUT: graph.input_shape}
    for step in steps:
        layer = step.layer
        shapes[step.target] = (
            graph.shape_of(layer.name) if step.pool else layer.conv_shape(shapes[step.source])
        )
    for name in reversed(shapes):
        giver = next((step for step in steps if step.target == name), None)
        codes = graph.codes_of(INPUT if giver is None else giver.layer.name, width)
        entry = WordMap(name=name, shape=shapes[name], width=codes[0], zero_point=codes[1])
        maps[name] = _with_words(entry, width, steps, maps, rules)
    failed = _mismatched(steps, maps)
    if failed:
        return {name: maps[name].group for name in failed}
    for _ in range(ROUNDS):
        changed = _raise_strips(steps, maps)
        if not changed:
            plan = Plan(steps=steps, maps={name: maps[name] for name in shapes})
            return {name: maps[name].group for name in _failures(plan)} or plan
    return {name: entry.group for name, entry in maps.items() if slots_of(entry) > 1}


def _with_words(
    entry: WordMap,
    width: int,
    steps: tuple[Step, ...],
    maps: Mapping[str, WordMap],
    rules: _Rules,
) -> WordMap:
    """The map with `pack`, `group` and the least strip; the maps that come of it are known."""
    height = entry.shape[0]
    takers = [step for step in steps if entry.name in (step.source, step.residual)]
    if entry.width == LOGIT_WIDTH or entry.name in rules.single:
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
    entry: WordMap, pack: int, takers: list[Step], maps: Mapping[str, WordMap], rules: _Rules
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
    entry: WordMap, takers: list[Step], maps: Mapping[str, WordMap], rules: _Rules
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


def _mismatched(steps: tuple[Step, ...], maps: Mapping[str, WordMap]) -> set[str]:
    """Maps that must be single because of how the maps around them are."""
    failed: set[str] = set()
    for step in steps:
        source, target = maps[step.source], maps[step.target]
        if target.width == LOGIT_WIDTH and not step.whole and slots_of(source) > 1:
            failed.add(source.name)
        if step.whole and slots_of(target) > 1:
            failed.add(target.name)
        apart = slots_of(source) > 1 and not step.whole  # pixels leave one after the other
        if apart and not step.pool and words_per_tile(target.layout) > 1:
            failed.add(target.name if target.width != LOGIT_WIDTH else source.name)
        if step.pool and (source.pack, source.group) != (target.pack, target.group):
            failed |= {entry.name for entry in (source, target) if slots_of(entry) > 1}
        if step.residual is not None:
            added = maps[step.residual]
            if slots_of(added) != slots_of(source) or added.group < 16:
                failed |= {entry.name for entry in (source, added) if slots_of(entry) > 1}
    return failed


def _raise_strips(steps: tuple[Step, ...], maps: dict[str, WordMap]) -> bool:
    """Make strips as high as each step needs them; whether any changed."""
    changed = False

    def to(name: str, strip: int) -> None:
        nonlocal changed
        if strip > maps[name].strip:
            maps[name] = replace(maps[name], strip=strip)
            changed = True

    for step in reversed(steps):
        source, target = maps[step.source], maps[step.target]
        if step.whole or slots_of(source) == 1:
            continue
        stride = step.stride[0]
        needed = -(-slots_of(target) * target.strip // slots_of(source))
        rows = max(needed, -(-source.strip // stride))
        to(step.source, rows * stride)
        if step.residual is not None:
            to(step.residual, rows)
            to(step.source, maps[step.residual].strip * stride)
        if step.pool:
            to(step.target, rows)
    return changed


def _failures(plan: Plan) -> set[str]:
    """Maps whose strips are too low for the windows over them, or too high for a pool."""
    failed: set[str] = set()
    for step in plan.steps:
        source, target = plan.maps[step.source], plan.maps[step.target]
        if step.whole or slots_of(source) == 1:
            continue
        top = 0 if step.pool else step.layer.padding[0]
        reach = (plan.rows(step) - 1) * step.stride[0] + step.kernel[0] - 1 - top
        if top > source.strip or reach >= 2 * source.strip:
            failed.add(source.name)
        if step.pool and target.strip * slots_of(target) != target.shape[0]:
            failed |= {source.name, target.name}
    return failed


def check_sizes(plan: Plan) -> None:
    """Raise `DownshiftError` if a map or window is larger than the accelerator counts."""
    for step in plan.steps:
        rows, columns, _ = plan.maps[step.target].shape
        sizes = (*plan.maps[step.source].shape[:2], rows, columns, *step.kernel, plan.rows(step))
        if max(sizes) > 256 or max(step.stride) > 15:
            raise DownshiftError(
                f"Layer {step.layer.name} has maps or windows of more than 256 rows or columns, or "
                "strides above 15, which the accelerator does not count; make them smaller"
            )
