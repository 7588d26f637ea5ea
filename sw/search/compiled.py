"""Budgets of cycles, kept by whole programs: what a layer takes depends on its neighbours, too."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.quantization.lowering import lower
from downshift.sw.search.allocation import (
    Allocation,
    Budget,
    allocations,
    check_budgets,
    lowest_widths,
    total_error,
)
from downshift.sw.search.choices import Assignment, expanded
from downshift.sw.search.layer_costs import Cycles, LayerCosts

__all__ = ["CompiledAllocation", "compiled_allocations", "compiled_cycles"]

ROUNDS = 24
"""Of solving and correcting, at most."""
TRIED = 64
"""Networks that are compiled in order of their error, at most."""
ANY = 8
"""A number for the only width of a graph that is compiled to count its cycles."""


@dataclass(frozen=True, kw_only=True)
class CompiledAllocation:
    """Widths that fit, and what a frame takes at them."""

    allocation: Allocation
    cycles: int


def compiled_cycles(
    model: nn.Module, assignment: Assignment, *, input_shape: tuple[int, int, int], cycles: Cycles
) -> dict[str, int]:
    """Compile a network of mixed widths, and count the cycles of each layer.

    Parameters
    ----------
    model : nn.Module
        Switchable; left as it was.
    assignment : mapping of str to int
        Widths of the layers that decide.
    input_shape : (height, width, channels)
    cycles : callable
        Cycles by layer of a graph at a width; what it raises is raised.
    """
    # Statistics of batch norms cost nothing: those at hand are good enough.
    graph = lower(model, input_shape=input_shape, assignments={ANY: expanded(model, assignment)})
    return dict(cycles(graph, ANY))


def compiled_allocations(
    model: nn.Module,
    costs: Mapping[str, LayerCosts],
    sensitivities: Mapping[str, float],
    budgets: Mapping[Budget, float],
    *,
    input_shape: tuple[int, int, int],
    cycles: Cycles,
    n: int = 1,
) -> list[CompiledAllocation]:
    """Find the assignments of least error whose programs keep a budget of cycles.

    What the integer program finds is compiled; where a layer then takes more than it was thought
    to, that is what it takes from then on, and the program is solved again. What fits in the end is
    compared with what `costs` would have allowed, in order of the error.

    Parameters
    ----------
    model : nn.Module
        Switchable; left as it was.
    costs, sensitivities, budgets, n
        As of `allocate`.
    input_shape : (height, width, channels)
    cycles : callable
        Cycles by layer of a graph at a width.

    Returns
    -------
    list of CompiledAllocation
        Of all that were compiled, those that fit; the one of least error first, at most `n`.

    Raises
    ------
    DownshiftError
        If nothing was found that fits; says the least.
    """
    others = {kind: limit for kind, limit in budgets.items() if kind is not Budget.CYCLES}
    check_budgets(costs, others)
    known = _Known(limit=budgets[Budget.CYCLES])

    def compiled(allocation: Allocation) -> dict[str, int]:
        taken = compiled_cycles(model, allocation.widths, input_shape=input_shape, cycles=cycles)
        known.add(allocation, sum(taken.values()))
        return taken

    lowest = lowest_widths(costs)
    error = total_error(costs, sensitivities, lowest)
    compiled(Allocation(widths=lowest, error=error, status="given"))
    corrected = dict(costs)
    for _ in range(ROUNDS):
        new = [a for a in _some(corrected, sensitivities, budgets, n) if not known.has(a)]
        if not new:
            break
        for allocation in new:
            try:
                corrected = _corrected(corrected, allocation.widths, compiled(allocation))
            except DownshiftError:  # a mixed network may be too large where others are not
                known.refuse(allocation)
    # Layers take no less than `costs` says, as far as was seen: the first that fits is the best.
    for allocation in _some(costs, sensitivities, budgets, TRIED):
        if known.best_error <= allocation.error:
            break
        if not known.has(allocation):
            try:
                compiled(allocation)
            except DownshiftError:
                known.refuse(allocation)
    return known.fitting()[:n]


@dataclass(eq=False)
class _Known:
    """Networks that were compiled."""

    limit: float
    entries: dict[tuple, CompiledAllocation | None] = field(default_factory=dict)

    def add(self, allocation: Allocation, cycles: int) -> None:
        entry = CompiledAllocation(allocation=allocation, cycles=cycles)
        self.entries[_key(allocation)] = entry

    def refuse(self, allocation: Allocation) -> None:
        self.entries[_key(allocation)] = None

    def has(self, allocation: Allocation) -> bool:
        return _key(allocation) in self.entries

    @property
    def best_error(self) -> float:
        """Of what fits."""
        return min((e.allocation.error for e in self._compiled() if e.cycles <= self.limit),
                   default=float("inf"))  # fmt: skip

    def fitting(self) -> list[CompiledAllocation]:
        """What fits, the least error first."""
        found = [entry for entry in self._compiled() if entry.cycles <= self.limit]
        if not found:
            least = min(entry.cycles for entry in self._compiled())
            raise DownshiftError(
                f"A budget of {self.limit:,g} cycles is below the least possible, {least:,g}"
            )
        return sorted(found, key=lambda entry: entry.allocation.error)

    def _compiled(self) -> list[CompiledAllocation]:
        return [entry for entry in self.entries.values() if entry is not None]


def _key(allocation: Allocation) -> tuple:
    return tuple(sorted(allocation.widths.items()))


def _some(costs, sensitivities, budgets, n: int):
    """Up to `n` allocations, one by one; none where the layers take too much already."""
    try:
        yield from islice(allocations(costs, sensitivities, budgets), n)
    except DownshiftError:
        return


def _corrected(
    costs: Mapping[str, LayerCosts], widths: Assignment, taken: Mapping[str, int]
) -> dict[str, LayerCosts]:
    """Costs in which the layers take what they took at these widths."""
    return {
        path: replace(
            cost, cycles={**cost.cycles, (cost.own(widths), cost.entering(widths)): taken[path]}
        )
        for path, cost in costs.items()
    }
