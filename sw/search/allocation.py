"""Bit allocation: the widths of least error that a budget allows, by integer programming."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from downshift.hw.errors import DownshiftError
from downshift.sw.search.choices import Assignment
from downshift.sw.search.layer_costs import FIXED, LayerCosts, Table, mean_bits

__all__ = [
    "Allocation",
    "Budget",
    "allocate",
    "check_budgets",
    "cost_of",
    "exhaustive",
    "least_cost",
    "lowest_widths",
    "total_error",
]

SLACK = 1e-9
"""Of a budget, relative: for rounding within the program; what it finds is checked exactly."""


class Budget(StrEnum):
    """What is limited."""

    BITS = "bits"
    """Mean width of the layers whose weights follow it."""
    BYTES = "bytes"
    """Of the running weights of all layers."""
    BIT_OPERATIONS = "bitops"
    """Products of single bits in all layers."""
    CYCLES = "cycles"
    """Of a frame on an accelerator."""


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """Widths that fit."""

    widths: Assignment
    """Of the layers that decide."""
    error: float
    """Sensitivity times squared distance of the weights, summed over the layers."""
    status: str
    """Whether nothing better fits, in the solver's word."""


def allocate(
    costs: Mapping[str, LayerCosts],
    sensitivities: Mapping[str, float],
    budgets: Mapping[Budget, float],
    *,
    n: int = 1,
) -> list[Allocation]:
    """Find the assignments of least error within budgets.

    One variable for each width of each layer that decides, and one for each pair of widths of two
    such layers, where a budget depends on both.

    Parameters
    ----------
    costs : mapping of str to LayerCosts
        By path.
    sensitivities : mapping of str to float
        Mean diagonal entry of the Hessian by path, not negative.
    budgets : mapping of Budget to float
        At most so much.
    n : int
        As many solutions, each the best but for those before it.

    Returns
    -------
    list of Allocation
        The best first; fewer than `n` if no more fit.

    Raises
    ------
    DownshiftError
        If nothing fits a budget; says the least.
    """
    import pulp

    check_budgets(costs, budgets)
    errors = weighted_errors(costs, sensitivities)
    problem = pulp.LpProblem("bits", pulp.LpMinimize)
    takes = {
        (root, width): problem.add_variable(f"x_{index}_{width}", cat="Binary")
        for index, (root, table) in enumerate(errors.items())
        for width in table
    }
    # Around 1: the solver's tolerances are absolute.
    largest = max((max(table.values()) for table in errors.values()), default=0.0) or 1.0
    problem += pulp.lpSum(take * (errors[r][w] / largest) for (r, w), take in takes.items())
    for root, table in errors.items():
        problem += pulp.lpSum(takes[root, width] for width in table) == 1
    pairs = _Pairs(problem, takes)
    for budget, limit in budgets.items():
        used = pulp.lpSum(_terms(costs, budget, takes, pairs))
        problem += used * (1 / limit) <= 1 + SLACK

    found: list[Allocation] = []
    while len(found) < n:
        status = pulp.LpStatus[problem.solve(pulp.HiGHS(msg=False, gapRel=0.0))]
        if status != "Optimal":
            break
        widths = {root: width for (root, width), take in takes.items() if take.value() > 0.5}
        # The solver's tolerance may let a budget be passed by a little, which is too much.
        if all(cost_of(costs, widths, budget) <= limit for budget, limit in budgets.items()):
            error = total_error(costs, sensitivities, widths)
            found.append(Allocation(widths=widths, error=error, status=status.lower()))
        # This one no more.
        problem += pulp.lpSum(takes[item] for item in widths.items()) <= len(widths) - 1
    if not found:
        raise DownshiftError(
            "No widths fit all budgets together; raise one of "
            + ", ".join(f"{limit:g} {budget}" for budget, limit in budgets.items())
        )
    return found


def weighted_errors(
    costs: Mapping[str, LayerCosts], sensitivities: Mapping[str, float]
) -> dict[str, dict[int, float]]:
    """Error of each layer that decides, and of those that follow it, by width."""
    errors: dict[str, dict[int, float]] = {}
    for cost in costs.values():
        if cost.root is None:
            continue
        table = errors.setdefault(cost.root, dict.fromkeys(cost.errors, 0.0))
        for width, error in cost.errors.items():
            table[width] += sensitivities.get(cost.path, 0.0) * error
    return errors


def check_budgets(costs: Mapping[str, LayerCosts], budgets: Mapping[Budget, float]) -> None:
    """Raise `DownshiftError` unless each budget alone can be met."""
    for budget, limit in budgets.items():
        if budget is Budget.CYCLES and not all(cost.cycles for cost in costs.values()):
            raise DownshiftError("A budget of cycles needs an accelerator; name its board")
        least = least_cost(costs, budget)
        if not limit >= least:
            raise DownshiftError(
                f"A budget of {limit:,g} {budget} is below the least possible, {least:,g}"
            )


def least_cost(costs: Mapping[str, LayerCosts], budget: Budget) -> float:
    """Cost of all layers at their lowest width."""
    return cost_of(costs, lowest_widths(costs), budget)


def lowest_widths(costs: Mapping[str, LayerCosts]) -> dict[str, int]:
    """Lowest width of all layers that decide."""
    return {cost.root: min(cost.errors) for cost in costs.values() if cost.root}


def total_error(
    costs: Mapping[str, LayerCosts], sensitivities: Mapping[str, float], assignment: Assignment
) -> float:
    """What `allocate` minimises, of an assignment of the layers that decide."""
    errors = weighted_errors(costs, sensitivities)
    return sum(errors[root][width] for root, width in assignment.items())


def cost_of(costs: Mapping[str, LayerCosts], assignment: Assignment, budget: Budget) -> float:
    """What an assignment of the layers that decide costs."""
    if budget is Budget.BITS:
        return mean_bits(costs, assignment)
    if budget is Budget.BYTES:
        return sum(cost.weight_bytes[cost.own(assignment)] for cost in costs.values())
    return sum(
        _table(cost, budget)[cost.own(assignment), cost.entering(assignment)]
        for cost in costs.values()
    )


def exhaustive(
    costs: Mapping[str, LayerCosts],
    sensitivities: Mapping[str, float],
    budgets: Mapping[Budget, float],
) -> list[Allocation]:
    """Try all assignments: what `allocate` has to find, for networks of a few layers."""
    errors = weighted_errors(costs, sensitivities)
    found = []
    for widths in itertools.product(*errors.values()):
        assignment = dict(zip(errors, widths, strict=True))
        if all(cost_of(costs, assignment, budget) <= limit for budget, limit in budgets.items()):
            error = total_error(costs, sensitivities, assignment)
            found.append(Allocation(widths=assignment, error=error, status="exhaustive"))
    return sorted(found, key=lambda allocation: allocation.error)


class _Pairs:
    """Variables that are 1 where two layers have a certain width each; made when asked for."""

    def __init__(self, problem: Any, takes: Mapping[tuple[str, int], Any]):
        self.problem = problem
        self.takes = takes
        self._known: dict[tuple[str, str], dict[tuple[int, int], Any]] = {}

    def of(self, first: str, second: str) -> dict[tuple[int, int], Any]:
        """Variables by both widths."""
        if (first, second) not in self._known:
            self._known[first, second] = self._made(first, second)
        return self._known[first, second]

    def _made(self, first: str, second: str) -> dict[tuple[int, int], Any]:
        import pulp

        widths = {root: [w for r, w in self.takes if r == root] for root in (first, second)}
        name = f"y_{len(self._known)}"
        # Between 0 and 1, and then whole by themselves: their sums are.
        variables = {
            (a, b): self.problem.add_variable(f"{name}_{a}_{b}", 0, 1)
            for a, b in itertools.product(widths[first], widths[second])
        }
        for a in widths[first]:
            total = pulp.lpSum(variables[a, b] for b in widths[second])
            self.problem += total == self.takes[first, a]
        for b in widths[second]:
            total = pulp.lpSum(variables[a, b] for a in widths[first])
            self.problem += total == self.takes[second, b]
        return variables


def _terms(costs: Mapping[str, LayerCosts], budget: Budget, takes, pairs: _Pairs) -> list:
    """What is used of a budget, as terms of a sum."""
    if budget is Budget.BITS:
        chosen = [cost for cost in costs.values() if cost.chosen]
        return [takes[c.root, width] * (width / len(chosen)) for c in chosen for width in c.errors]
    terms: list = []
    for cost in costs.values():
        if budget is Budget.BYTES:
            table: Table = {(own, FIXED): value for own, value in cost.weight_bytes.items()}
        else:
            table = _table(cost, budget)
        source_root = None if budget is Budget.BYTES else cost.source_root
        for (own, enters), value in table.items():
            if cost.root and source_root == cost.root:
                terms += [takes[cost.root, own] * value] if own == enters else []
            elif cost.root and source_root:
                terms.append(pairs.of(cost.root, source_root)[own, enters] * value)
            elif cost.root or source_root:
                one = (cost.root, own) if cost.root else (source_root, enters)
                terms.append(takes[one] * value)
            else:
                terms.append(value)
    return terms


def _table(cost: LayerCosts, budget: Budget) -> Table:
    return cost.cycles if budget is Budget.CYCLES else cost.bit_operations
