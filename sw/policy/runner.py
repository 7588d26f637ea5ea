"""Frames on an accelerator, at the widths that a policy chooses: `PolicyRunner`."""

from dataclasses import dataclass

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.device.driver import Accelerator
from downshift.sw.device.frame_result import FrameResult
from downshift.sw.policy.policies import Policy

__all__ = ["PolicyResult", "PolicyRunner"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyResult:
    """One frame."""

    result: FrameResult
    """Of its last run, whose logits count."""
    widths: tuple[int, ...]
    """Of its runs, in order."""
    cycles: int
    """Of all of them."""


class PolicyRunner:
    """Run frames under a policy.

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

    def run(self, codes: np.ndarray, *, seconds_left: float | None = None) -> PolicyResult:
        """Run one frame, once or more often.

        Parameters
        ----------
        codes : uint8 array, shape (height, width, channels)
            Input codes.
        seconds_left : float, optional
            Until the result is due.
        """
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
