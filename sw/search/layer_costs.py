"""What each layer costs at each width: error of its weights, bytes, products of bits, cycles."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from downshift.sw.graph.integer_graph import INPUT, IntegerGraph
from downshift.sw.quantization.double_rounding import DoubleRounding
from downshift.sw.quantization.lowering import lower
from downshift.sw.quantization.widths import kept_widths, set_widths, switchable_layers
from downshift.sw.search.choices import Assignment, deciding_layers

__all__ = ["FIXED", "LayerCosts", "layer_costs", "mean_bits"]

FIXED = 0
"""In place of a width, where there is nothing to choose."""
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
    """On an accelerator, if one was measured."""

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
                sizes[own] = layer.weight.size * quantizer.width / 8
                for enters, bits in entering.items():
                    place = (own, enters if follows else FIXED)
                    operations[place] = macs * quantizer.width * bits
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

    Layers at even and at odd distances from the input get one width each: every pair of widths is
    met by all layers in two networks.
    """
    sources = {layer.name: graph.source_of(layer) for layer in graph.layers}
    depths = {INPUT: 0}
    for path, source in sources.items():
        depths[path] = depths[source] + 1
    found: dict[str, dict[tuple[int, int], int]] = {path: {} for path in costs}
    # One width for all first: where the neighbours' widths count as well, that is what is kept.
    pairs = sorted(itertools.product(widths, repeat=2), key=lambda pair: pair[0] != pair[1])
    for even, odd in pairs:
        given = {path: even if depths[path] % 2 == 0 else odd for path in costs}
        mixed = lower(model, input_shape=graph.input_shape, assignments={8: given})
        for path, count in cycles(mixed, 8).items():
            cost = costs[path]
            own = given[path] if cost.root else FIXED
            enters = given[sources[path]] if cost.source_root else FIXED
            found[path].setdefault((own, enters), count)
    return found
