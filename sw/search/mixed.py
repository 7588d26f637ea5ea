"""The search whole: from a trained network and budgets to networks of mixed precision, judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.data.images import Images
from downshift.sw.search.allocation import (
    Budget,
    allocate,
    cost_of,
    least_cost,
    lowest_widths,
    total_error,
)
from downshift.sw.search.candidates import candidate_accuracy, settled_graph
from downshift.sw.search.choices import Assignment, expanded
from downshift.sw.search.layer_costs import Cycles, LayerCosts

__all__ = ["Candidate", "free_width", "front_budgets", "judged", "uniform"]

ROOM = 0.999
"""Of a budget that is tightened: rounding must not bring the same network back."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network of mixed precision."""

    widths: Assignment
    """Of the layers that decide."""
    error: float
    """What the program minimised."""
    costs: Mapping[Budget, float]
    """Cycles are those of the whole program, as compiled."""
    accuracy: float
    """Share of the validation part, 0…1."""
    status: str
    """Whether nothing better fits, in the solver's word."""


def judged(
    model: nn.Module,
    costs: Mapping[str, LayerCosts],
    sensitivities: Mapping[str, float],
    budgets: Mapping[Budget, float],
    images: Images,
    *,
    n: int = 1,
    cycles: Cycles | None = None,
) -> list[Candidate]:
    """Find networks within budgets, and judge each on the validation part.

    Parameters
    ----------
    model : nn.Module
        Switchable, trained.
    costs : mapping of str to LayerCosts
    sensitivities : mapping of str to float
        By path of the layer.
    budgets : mapping of Budget to float
    images : Images
    n : int
        Networks to judge, those of least error.
    cycles : callable, optional
        Cycles by layer of a graph at a width; needed for a budget of cycles.

    Returns
    -------
    list of Candidate
        The most accurate first. None takes more cycles than the budget, once compiled.

    Raises
    ------
    DownshiftError
        If nothing fits.
    """
    limit, tightened = budgets.get(Budget.CYCLES), dict(budgets)
    while True:
        found = [
            measured(
                model, costs, allocation.widths, images, error=allocation.error, cycles=cycles,
                status=allocation.status,
            )
            for allocation in allocate(costs, sensitivities, tightened, n=n)
        ]  # fmt: skip
        if limit is None or cycles is None:
            break
        fitting = [c for c in found if c.costs[Budget.CYCLES] <= limit]
        if fitting:
            found = fitting
            break
        # Layers one by one take less than all together: leave room for the difference.
        taken = min(c.costs[Budget.CYCLES] for c in found)
        least, before = least_cost(costs, Budget.CYCLES), tightened[Budget.CYCLES]
        if before <= least:
            lowest = lowest_widths(costs)
            found = [
                measured(
                    model,
                    costs,
                    lowest,
                    images,
                    cycles=cycles,
                    error=total_error(costs, sensitivities, lowest),
                )
            ]
            if (taken := found[0].costs[Budget.CYCLES]) > limit:
                raise DownshiftError(
                    f"A budget of {limit:,g} cycles is below the least possible, {taken:,g}"
                )
            break
        tightened[Budget.CYCLES] = max(least, before * limit / taken * ROOM)
    return sorted(found, key=lambda candidate: -candidate.accuracy)


def measured(
    model: nn.Module,
    costs: Mapping[str, LayerCosts],
    widths: Assignment,
    images: Images,
    *,
    error: float,
    cycles: Cycles | None = None,
    status: str = "given",
) -> Candidate:
    """Judge one assignment."""
    kinds = [budget for budget in Budget if budget is not Budget.CYCLES]
    spent = {budget: cost_of(costs, widths, budget) for budget in kinds}
    if cycles is not None:
        # Statistics of batch norms cost nothing.
        whole = {8: expanded(model, widths)}
        graph = settled_graph(model, whole, None, input_shape=images.input_shape, name="candidate")
        spent[Budget.CYCLES] = sum(cycles(graph, 8).values())
    share = candidate_accuracy(model, widths, images, images.validation)
    return Candidate(widths=widths, error=error, costs=spent, accuracy=share, status=status)


def uniform(costs: Mapping[str, LayerCosts], width: int) -> dict[str, int]:
    """Give all layers that decide one width."""
    return {cost.root: width for cost in costs.values() if cost.root}


def front_budgets(
    costs: Mapping[str, LayerCosts], budget: Budget, *, points: int, highest: int
) -> list[float]:
    """Spread limits evenly from the least possible to what the highest width takes everywhere."""
    least = least_cost(costs, budget)
    most = cost_of(costs, uniform(costs, highest), budget)
    return [least + (most - least) * k / max(1, points - 1) for k in range(points)]


def free_width(taken: Sequence[int], average: float) -> int:
    """Pick a number for a mixed network: the nearest to its mean bits that no width has.

    Examples
    --------
    >>> free_width((8, 6, 4, 2), 4.4)
    5
    """
    free = [width for width in range(2, 9) if width not in taken]
    if not free:
        raise DownshiftError("All numbers from 2 to 8 are taken; train at fewer widths")
    return min(free, key=lambda width: (abs(width - average), width))
