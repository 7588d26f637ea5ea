"""Where codes of a map reach: from numbers that were seen on it."""

from enum import StrEnum

import numpy as np

from downshift.sw.graph.integer_setting import Codes

__all__ = ["Range", "clipped_codes", "observed_codes"]

SAMPLES = 1 << 17
"""Numbers that a search looks at."""
PLACES = 40
"""Fractions of the whole range that the search for the least error tries."""
QUANTILE = 0.9999


class Range(StrEnum):
    """How far codes reach."""

    MIN_MAX = "min-max"
    """As far as anything that was seen."""
    PERCENTILE = "percentile"
    """As far as all but one in ten thousand."""
    MSE = "mse"
    """As far as gives the least mean squared error."""


def observed_codes(
    values: np.ndarray, *, low: float, high: float, width: int, method: Range
) -> Codes:
    """Choose codes for numbers like those that were seen.

    Parameters
    ----------
    values : float array
        What was seen, before limits.
    low, high : float
        Limits; with ``low >= 0`` code 0 is zero.
    width : int
        Bits of the codes, 1…8.
    method : Range

    Returns
    -------
    Codes

    Examples
    --------
    >>> observed_codes(np.float32([-1, 2, 6]), low=0, high=np.inf, width=2, method=Range.MIN_MAX)
    Codes(scale=2.0, width=2, zero_point=0, largest=None)
    """
    seen = np.clip(values.reshape(-1)[:: max(1, values.size // SAMPLES)], low, high)
    seen = seen.astype(np.float64)
    if method is Range.PERCENTILE:
        first, last = np.quantile(seen, (1 - QUANTILE, QUANTILE))
    else:
        clipped = np.clip((values.min(), values.max()), low, high)
        first, last = float(clipped[0]), float(clipped[1])
    first, last = min(first, 0.0), max(last, 0.0)
    if not last - first > 0:
        first, last = (0.0, 1.0) if low >= 0 else (-1.0, 1.0)
    if method is not Range.MSE:
        return _codes(first, last, width)
    tries = [_codes(first * part, last * part, width) for part in np.geomspace(0.02, 1, PLACES)]
    return min(tries, key=lambda codes: _error(seen, codes))


def clipped_codes(codes: Codes, low: float, high: float) -> Codes:
    """The codes that numbers of `low` to `high` have, from 0 on: the others are left out.

    If zero is not among the numbers, codes of another scale reach as far as they do.

    Examples
    --------
    >>> clipped_codes(Codes(scale=0.5, width=8, zero_point=128), 0.0, np.inf)
    Codes(scale=0.5, width=7, zero_point=0, largest=None)
    >>> clipped_codes(Codes(scale=0.5, width=8), 0.0, 6.0)
    Codes(scale=0.5, width=4, zero_point=0, largest=12)
    """
    most = (1 << codes.width) - 1 if codes.largest is None else codes.largest
    ends = (np.array([low, high]) / codes.scale).clip(-codes.zero_point, most - codes.zero_point)
    first, last = (int(end) + codes.zero_point for end in np.rint(ends))
    if first <= codes.zero_point <= last and first < last:
        width = (last - first).bit_length()
        return Codes(
            scale=codes.scale,
            width=width,
            zero_point=codes.zero_point - first,
            largest=last - first if last - first < (1 << width) - 1 else None,
        )
    least = -codes.zero_point * codes.scale
    low, high = max(low, least), min(high, least + most * codes.scale)
    scale = (high - low) / most
    if not scale > 0:
        return codes
    return Codes(
        scale=scale, width=codes.width, zero_point=int(np.clip(round(-low / scale), 0, most))
    )


def _codes(first: float, last: float, width: int) -> Codes:
    """Codes between two ends, zero among them."""
    most = (1 << width) - 1
    scale = max((last - first) / most, 1e-30)
    return Codes(scale=scale, width=width, zero_point=min(round(-first / scale), most))


def _error(seen: np.ndarray, codes: Codes) -> float:
    """Mean squared error of numbers as codes."""
    whole = np.rint(seen / codes.scale)
    most = (1 << codes.width) - 1
    kept = np.clip(whole, -codes.zero_point, most - codes.zero_point) * codes.scale
    return float(np.mean((kept - seen) ** 2))
