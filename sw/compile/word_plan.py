"""The plan of a table accelerator: in which words every map lies, and what each pass computes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import ROWS
from downshift.hw.writer_layer import words_per_tile
from downshift.sw.compile.word_choice import LIBERTIES, Liberty, WordRules, choose_words
from downshift.sw.compile.word_map import WordMap
from downshift.sw.compile.word_step import Step, graph_steps, is_dense, slots_of, suits_lanes
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph

__all__ = ["Mode", "Plan", "check_sizes", "plan_words"]

Mode = Literal["column", "dense", "separate"]
"""In lanes, a channel each or an output each; or channel by channel in the array."""

ROUNDS = 64
"""Strips that still change after as many rounds never settle."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Maps of all steps at one width; those before a pool have names of their own."""

    steps: tuple[Step, ...]
    maps: Mapping[str, WordMap]

    def mode(self, step: Step) -> Mode | None:
        """How a step is computed, unless it is a pool or all input channels meet in the array."""
        source, target = self.maps[step.source], self.maps[step.target]
        if step.pool:
            return None
        if step.layer.groups == 1:
            return "dense" if is_dense(step, target.shape) else None
        fits = suits_lanes(step, target.shape) and not source.pack and source.group >= 8
        return "column" if fits else "separate"

    def rows(self, step: Step) -> int:
        """Output rows of a slot."""
        source, target = self.maps[step.source], self.maps[step.target]
        if step.whole:
            return 1
        if slots_of(source) > 1:
            return source.strip // step.stride[0]
        return target.strip * slots_of(target)


def plan_words(
    graph: IntegerGraph,
    width: int,
    *,
    segments: int,
    liberties: Collection[Liberty] = LIBERTIES,
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
    liberties : collection of str
        Of `LIBERTIES`, those that may be taken.

    Returns
    -------
    Plan
        Maps have no place yet.
    """
    steps = graph_steps(graph)
    rules = WordRules(segments=segments, liberties=frozenset(liberties))
    while isinstance(plan := _settle(graph, width, steps, rules), dict):
        wide = {name for name, group in plan.items() if group > ROWS}
        held, names = (rules.narrow, wide) if wide else (rules.single, set(plan))
        assert not names <= held
        held |= names
    return plan


def _settle(
    graph: IntegerGraph, width: int, steps: tuple[Step, ...], rules: WordRules
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
        maps[name] = choose_words(entry, width, steps, maps, rules)
    failed = _mismatched(steps, maps)
    if failed:
        return {name: maps[name].group for name in failed}
    for _ in range(ROUNDS):
        changed = _raise_strips(steps, maps)
        if not changed:
            plan = Plan(steps=steps, maps={name: maps[name] for name in shapes})
            return {name: maps[name].group for name in _failures(plan)} or plan
    return {name: entry.group for name, entry in maps.items() if slots_of(entry) > 1}


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
