"""The search whole: from a trained network and budgets to networks of mixed precision, judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.data.images import Images
from downshift.sw.search.allocation import Budget, allocate, cost_of
from downshift.sw.search.candidates import candidate_accuracy
from downshift.sw.search.choices import Assignment
from downshift.sw.search.compiled import compiled_allocations, compiled_cycles
from downshift.sw.search.layer_costs import Cycles, LayerCosts

__all__ = ["Candidate", "free_width", "front_budgets", "judged", "measured", "uniform"]


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
    if Budget.CYCLES in budgets and cycles is not None:
        compiled = compiled_allocations(
            model, costs, sensitivities, budgets, input_shape=images.input_shape, cycles=cycles, n=n
        )
        allocations = [entry.allocation for entry in compiled]
    else:
        allocations = allocate(costs, sensitivities, budgets, n=n)
    found = [
        measured(
            model, costs, allocation.widths, images, error=allocation.error, cycles=cycles,
            status=allocation.status,
        )
        for allocation in allocations
    ]  # fmt: skip
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
        taken = compiled_cycles(model, widths, input_shape=images.input_shape, cycles=cycles)
        spent[Budget.CYCLES] = sum(taken.values())
    share = candidate_accuracy(model, widths, images, images.validation)
    return Candidate(widths=widths, error=error, costs=spent, accuracy=share, status=status)


def uniform(costs: Mapping[str, LayerCosts], width: int) -> dict[str, int]:
    """Give all layers that decide one width."""
    return {cost.root: width for cost in costs.values() if cost.root}


def front_budgets(least: float, most: float, *, points: int) -> list[float]:
    """Spread limits from the least possible to the most that is of use, by equal factors.

    Examples
    --------
    >>> front_budgets(1000, 8000, points=4)
    [1000, 2000.0, 4000.0, 8000]
    """
    inner = [least * (most / least) ** (k / (points - 1)) for k in range(1, points - 1)]
    return [least, *(round(limit, 6) for limit in inner), *([most] if points > 1 else [])]


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
