"""Finding the cascade that agrees with the highest width in the fewest cycles."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.policy.policies import Cascade, margin

__all__ = ["calibrate"]

LEVELS = 48
"""Thresholds that are tried for each width."""
MOST_STEPS = 3


def calibrate(
    logits: Mapping[int, np.ndarray],
    cycles: Mapping[int, int],
    *,
    agreement: float,
    most_steps: int = MOST_STEPS,
) -> Cascade:
    """Find widths and thresholds of a cascade.

    Every order of up to `most_steps` widths that ends with the highest is tried, with thresholds at
    quantiles of the margins of each width. Of those whose labels agree with the highest width as
    often as asked for, the one with the fewest mean cycles is taken.

    Parameters
    ----------
    logits : mapping of int to int32 array, shape (n, classes)
        Of frames that the network was not trained on, by width.
    cycles : mapping of int to int
        Of a frame, by width.
    agreement : float
        Part of the labels that must be those of the highest width, at most 1.
    most_steps : int

    Raises
    ------
    DownshiftError
        If nothing can be calibrated with what is given.
    """
    if not 0 < agreement <= 1:
        raise DownshiftError(f"Agreement must be above 0 and at most 1, not {agreement!r}")
    top = max(logits)
    if not len(logits[top]):
        raise DownshiftError("There are no frames to calibrate with")
    wanted = logits[top].argmax(1)
    agrees = {width: each.argmax(1) == wanted for width, each in logits.items()}
    margins = {width: margin(each) for width, each in logits.items()}
    lower = sorted((width for width in logits if width != top), key=lambda width: cycles[width])
    best = (float(cycles[top]), Cascade(((top, 0),)))
    for count in range(1, most_steps):
        for widths in combinations(lower, count):
            for thresholds in product(*(_levels(margins[width]) for width in widths)):
                mean, agreed = _outcome(widths, thresholds, top, margins, agrees, cycles)
                if agreed >= agreement and mean < best[0]:
                    steps = (*zip(widths, thresholds, strict=True), (top, 0))
                    best = mean, Cascade(_reached(steps))
    return best[1]


def _reached(steps: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Leave out what comes after a width whose every margin will do."""
    last = next(number for number, (_, least) in enumerate(steps) if least == 0)
    return tuple(steps[: last + 1])


def _levels(margins: np.ndarray) -> Sequence[int]:
    """Thresholds: none, quantiles of the margins, and above all of them."""
    quantiles = np.quantile(margins, np.linspace(0, 1, LEVELS) ** 2, method="higher")
    return sorted({0, *map(int, quantiles), int(margins.max()) + 1})


def _outcome(
    widths: Sequence[int],
    thresholds: Sequence[int],
    top: int,
    margins: Mapping[int, np.ndarray],
    agrees: Mapping[int, np.ndarray],
    cycles: Mapping[int, int],
) -> tuple[float, float]:
    """Mean cycles, and the part of the labels that agree."""
    left = np.ones(len(agrees[top]), bool)
    spent, right = 0, 0
    for width, threshold in zip(widths, thresholds, strict=True):
        spent += cycles[width] * int(left.sum())
        settled = left & (margins[width] >= threshold)
        right += int((settled & agrees[width]).sum())
        left &= ~settled
    spent += cycles[top] * int(left.sum())
    right += int(left.sum())
    return spent / len(left), right / len(left)
