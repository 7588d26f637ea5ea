"""What a policy does to frames whose logits are known at every width: `replay`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from downshift.sw.policy.policies import Policy

__all__ = ["Replay", "replay"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Replay:
    """What became of n frames."""

    labels: np.ndarray
    """int64, (n,)."""
    cycles: np.ndarray
    """int64, (n,): of all runs of a frame."""
    widths: np.ndarray
    """int64, (n,): of the last run of each, whose logits count."""


def replay(policy: Policy, logits: Mapping[int, np.ndarray], cycles: Mapping[int, int]) -> Replay:
    """Run frames under a policy.

    Parameters
    ----------
    policy : Policy
    logits : mapping of int to int32 array, shape (n, classes)
        By width.
    cycles : mapping of int to int
        Of one run, by width.
    """
    count = len(next(iter(logits.values())))
    labels, spent, last = (np.empty(count, np.int64) for _ in range(3))
    for frame in range(count):
        width: int | None = policy.first()
        total = 0
        while width is not None:
            total += cycles[width]
            labels[frame], last[frame] = logits[width][frame].argmax(), width
            width = policy.then(width, logits[width][frame])
        policy.spent(total)
        spent[frame] = total
    return Replay(labels=labels, cycles=spent, widths=last)
