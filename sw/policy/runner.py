"""Frames on an accelerator, at the widths that a policy chooses: `PolicyRunner`."""

from collections.abc import Iterable, Iterator

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.device.cascade import MOST_THRESHOLD, PolicyResult
from downshift.sw.device.driver import Accelerator
from downshift.sw.policy.policies import Cascade, Fixed, Policy

__all__ = ["PolicyRunner"]


class PolicyRunner:
    """Run frames under a policy; a cascade of two widths in the accelerator, if it can.

    Parameters
    ----------
    accelerator : Accelerator
        With its image loaded.
    policy : Policy

    Raises
    ------
    DownshiftError
        If the policy may choose a width that the image does not run at.
    """

    def __init__(self, accelerator: Accelerator, policy: Policy):
        image = accelerator.image
        if image is None:
            raise DownshiftError("No image is loaded; call load first")
        missing = [width for width in policy.widths if width not in image.widths]
        if missing:
            have = ", ".join(map(str, image.widths))
            raise DownshiftError(
                f"The policy chooses width {missing[0]}, the image runs at widths {have}"
            )
        self.accelerator = accelerator
        self.policy = policy
        self.within = (
            isinstance(policy, Cascade)
            and len(policy.steps) == 2
            and policy.steps[0][1] <= MOST_THRESHOLD
            and accelerator.can_cascade(*policy.widths)
        )

    def run(self, codes: np.ndarray, *, seconds_left: float | None = None) -> PolicyResult:
        """Run one frame, once or more often.

        Parameters
        ----------
        codes : uint8 array, shape (height, width, channels)
            Input codes.
        seconds_left : float, optional
            Until the result is due.
        """
        if self.within:
            assert isinstance(self.policy, Cascade)
            (first, threshold), (second, _) = self.policy.steps
            return self.accelerator.cascade(codes, first, second, threshold)
        widths: list[int] = []
        cycles = 0
        width: int | None = self.policy.first(seconds_left)
        while width is not None:
            result = self.accelerator.run(codes, width)
            widths.append(width)
            cycles += result.cycles
            width = self.policy.then(width, result.logits)
        self.policy.spent(cycles)
        return PolicyResult(result=result, widths=tuple(widths), cycles=cycles)

    def run_all(self, frames: Iterable[np.ndarray]) -> Iterator[PolicyResult]:
        """Run frames, ahead of each other where the host has nothing to decide between them.

        Parameters
        ----------
        frames : iterable of uint8 array, shape (height, width, channels)
            Input codes.
        """
        if self.within:
            assert isinstance(self.policy, Cascade)
            (first, threshold), (second, _) = self.policy.steps
            return self.accelerator.cascade_all(frames, first, second, threshold)
        if isinstance(self.policy, Fixed):
            width = self.policy.width
            return (
                PolicyResult(result=result, widths=(width,), cycles=result.cycles)
                for result in self.accelerator.run_all(frames, width)
            )
        return map(self.run, frames)
