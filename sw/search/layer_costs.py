"""What each layer costs at each width: error of its weights, bytes, products of bits, cycles."""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.integer_graph import IntegerGraph
from downshift.sw.quantization.double_rounding import DoubleRounding
from downshift.sw.quantization.lowering import lower
from downshift.sw.quantization.widths import kept_widths, set_widths, switchable_layers
from downshift.sw.search.choices import Assignment, deciding_layers

__all__ = ["FIXED", "LayerCosts", "layer_costs", "mean_bits"]

FIXED = 0
"""In place of a width, where there is nothing to choose."""
DRAWN = 4
"""Networks that are compiled for each pair of widths, to learn what layers take."""
Cycles = Callable[[IntegerGraph, int], Mapping[str, int]]
"""Cycles of every layer of a graph at one of its widths, on some accelerator."""
Table = Mapping[tuple[int, int], float]
"""By own width and that of the layer that gives what enters, each perhaps `FIXED`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerCosts:
    """One layer."""

    path: str
    root: str | None
    """Layer whose width it takes; None if nothing of it switches."""
    source_root: str | None
    """Layer whose width decides how many bits enter; None if nothing does."""
    chosen: bool
    """Whether its weights follow the width."""
    errors: Mapping[int, float]
    """Squared distance of the running weights to the float ones, by own width."""
    weight_bytes: Mapping[int, float]
    """Of running weights, by own width."""
    bit_operations: Table
    """Products of single bits."""
    cycles: Table = field(default_factory=dict)
    """On an accelerator, if one was measured; the least, as neighbours count as well."""

    def own(self, assignment: Assignment) -> int:
        """Its width under an assignment."""
        return assignment[self.root] if self.root else FIXED

    def entering(self, assignment: Assignment) -> int:
        """Width that decides how many bits enter."""
        return assignment[self.source_root] if self.source_root else FIXED


def layer_costs(
    model: nn.Module,
    widths: Sequence[int],
    *,
    input_shape: tuple[int, int, int],
    cycles: Cycles | None = None,
) -> dict[str, LayerCosts]:
    """Find out what every layer costs at every width.

    Parameters
    ----------
    model : nn.Module
        Switchable, trained.
    widths : sequence of int
        To choose from.
    input_shape : (height, width, channels)
    cycles : callable, optional
        Cycles by layer of a graph at a width; without it, there are none to be limited.

    Returns
    -------
    dict of str to LayerCosts
        By path, in order.
    """
    graph = lower(model, input_shape=input_shape, assignments={width: width for width in widths})
    roots = deciding_layers(model)
    parts = switchable_layers(model)
    costs = {}
    for layer in graph.layers:
        path, source = layer.name, graph.source_of(layer)
        quantizer = next(p for p in parts[path].parts if isinstance(p, DoubleRounding))
        weight = model.get_submodule(path).weight.detach()
        macs = layer.macs(graph.shape_of(source))
        entering = {width: layer.settings[width].in_width for width in widths}
        follows = len(set(entering.values())) > 1 and source in roots
        errors, sizes, operations = {}, {}, {}
        with kept_widths(model):
            for width in widths:
                set_widths(model, width)
                own = width if path in roots else FIXED
                errors[own] = float((quantizer(weight)[0].detach() - weight).square().sum())
                sizes[own] = layer.weight.size * quantizer.running_width / 8
                for enters, bits in entering.items():
                    place = (own, enters if follows else FIXED)
                    operations[place] = macs * quantizer.running_width * bits
        costs[path] = LayerCosts(
            path=path,
            root=roots.get(path),
            source_root=roots[source] if follows else None,
            chosen=quantizer.pinned_width is None,
            errors=errors,
            weight_bytes=sizes,
            bit_operations=operations,
        )
    if cycles is None:
        return costs
    measured = _measured_cycles(model, widths, graph, costs, cycles)
    return {
        path: LayerCosts(**{**vars(cost), "cycles": measured[path]}) for path, cost in costs.items()
    }


def mean_bits(costs: Mapping[str, LayerCosts], assignment: Assignment) -> float:
    """Mean width of the layers whose weights follow it."""
    return float(np.mean([cost.own(assignment) for cost in costs.values() if cost.chosen]))


def _measured_cycles(
    model: nn.Module,
    widths: Sequence[int],
    graph: IntegerGraph,
    costs: Mapping[str, LayerCosts],
    cycles: Cycles,
) -> dict[str, dict[tuple[int, int], int]]:
    """Cycles of every layer, for each pair of its width and that of what enters.

    What else counts, such as the width of another layer that takes the same map, is drawn. The
    least is kept: whoever compiles what comes of it can tell where it was too little.
    """
    deciding = sorted({cost.root for cost in costs.values() if cost.root})
    rng = np.random.default_rng(0)

    def drawn() -> dict[str, int]:
        return {root: int(rng.choice(widths)) for root in deciding}

    least: dict[str, dict[tuple[int, int], int]] = {path: {} for path in costs}
    whole: list[int] = []

    def learn(assignment: Assignment) -> None:
        given = {path: assignment[cost.root] for path, cost in costs.items() if cost.root}
        mixed = lower(model, input_shape=graph.input_shape, assignments={8: given})
        taken = cycles(mixed, 8)
        whole.append(sum(taken.values()))
        for path, count in taken.items():
            pair = (costs[path].own(assignment), costs[path].entering(assignment))
            least[path][pair] = min(count, least[path].get(pair, count))

    for width in widths:
        learn(dict.fromkeys(deciding, width))
    for _ in range(DRAWN * len(widths) ** 2):
        with suppress(DownshiftError):  # mixed ones may be too large for an accelerator
            learn(drawn())
    for path, cost in costs.items():
        for missed in _missed(cost, least[path], widths):
            with suppress(DownshiftError):
                learn(drawn() | missed)
        for missed in _missed(cost, least[path], widths):
            # What no network compiles with is not to be chosen.
            assignment = drawn() | missed
            least[path][cost.own(assignment), cost.entering(assignment)] = 2 * max(whole)
    return least


def _missed(cost: LayerCosts, seen: Collection, widths: Sequence[int]) -> list[dict[str, int]]:
    """Widths of a layer and of what enters that have not been seen."""
    choices = [
        [(root, width) for width in widths] if root else []
        for root in (cost.root, cost.source_root)
    ]
    pairs = itertools.product(*(choice or [None] for choice in choices))
    found = []
    for pair in pairs:
        given = dict(item for item in pair if item)
        if cost.root == cost.source_root and pair[0] != pair[1]:
            continue
        own = given[cost.root] if cost.root else FIXED
        enters = given[cost.source_root] if cost.source_root else FIXED
        if given and (own, enters) not in seen:
            found.append(given)
    return found
