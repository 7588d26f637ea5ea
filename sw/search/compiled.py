"""Budgets of cycles, kept by whole programs: what a layer takes depends on its neighbours, too."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.quantization.lowering import lower
from downshift.sw.search.allocation import (
    Allocation,
    Budget,
    allocate,
    check_budgets,
    lowest_widths,
    total_error,
)
from downshift.sw.search.choices import Assignment, expanded
from downshift.sw.search.layer_costs import Cycles, LayerCosts

__all__ = ["CompiledAllocation", "compiled_allocations", "compiled_cycles"]

ROUNDS = 24
"""Of solving and correcting, at most."""
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
    to, that is what it takes from then on, and the program is solved again.

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
    check_budgets(costs, {kind: b for kind, b in budgets.items() if kind is not Budget.CYCLES})
    known: dict[tuple, CompiledAllocation] = {}

    def compiled(allocation: Allocation) -> dict[str, int]:
        widths = allocation.widths
        taken = compiled_cycles(model, widths, input_shape=input_shape, cycles=cycles)
        total = sum(taken.values())
        known[_key(allocation)] = CompiledAllocation(allocation=allocation, cycles=total)
        return taken

    lowest = lowest_widths(costs)
    error = total_error(costs, sensitivities, lowest)
    compiled(Allocation(widths=lowest, error=error, status="given"))
    corrected, refused = dict(costs), set()
    for _ in range(ROUNDS):
        try:
            found = allocate(corrected, sensitivities, budgets, n=n + len(refused))
        except DownshiftError:
            break  # as far as is known, nothing more fits
        new = [a for a in found if _key(a) not in known and _key(a) not in refused]
        if not new:
            break
        for allocation in new:
            try:
                corrected = _corrected(corrected, allocation.widths, compiled(allocation))
            except DownshiftError:  # too large for the accelerator, as others are not
                refused.add(_key(allocation))
    limit = budgets[Budget.CYCLES]
    fitting = [entry for entry in known.values() if entry.cycles <= limit]
    if not fitting:
        least = min(entry.cycles for entry in known.values())
        raise DownshiftError(
            f"A budget of {limit:,g} cycles is below the least possible, {least:,g}"
        )
    return sorted(fitting, key=lambda entry: entry.allocation.error)[:n]


def _key(allocation: Allocation) -> tuple:
    return tuple(sorted(allocation.widths.items()))


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
