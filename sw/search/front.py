"""What is gained for what: fronts of cost and accuracy, and whether one order follows another."""

from collections.abc import Sequence

__all__ = ["hypervolume", "pareto_front", "rank_correlation"]

Point = tuple[float, float]
"""Cost, which is to be small, and accuracy, which is to be large."""


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Points that no other is better than, in order of their cost.

    Examples
    --------
    >>> pareto_front([(2.0, 0.8), (1.0, 0.5), (3.0, 0.7), (2.5, 0.9)])
    [(1.0, 0.5), (2.0, 0.8), (2.5, 0.9)]
    """
    front: list[Point] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((cost, accuracy))
    return front


def hypervolume(points: Sequence[Point], *, most: float, least_accuracy: float = 0.0) -> float:
    """Area that the front of points dominates, up to a cost and down to an accuracy.

    Examples
    --------
    >>> hypervolume([(1.0, 0.5), (2.0, 0.75)], most=4.0)
    2.0
    """
    area, front = 0.0, [point for point in pareto_front(points) if point[0] < most]
    ends = [cost for cost, _ in front[1:]] + [most]
    for (cost, accuracy), end in zip(front, ends, strict=True):
        area += (end - cost) * max(0.0, accuracy - least_accuracy)
    return area


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b of two series: 1 if both rise together, -1 if one falls as the other rises.

    Examples
    --------
    >>> round(rank_correlation([1, 2, 3], [0.5, 0.7, 0.9]), 6)
    1.0
    """
    # Comes with scikit-learn; a second to import.
    from scipy.stats import kendalltau

    return float(kendalltau(first, second).statistic)
