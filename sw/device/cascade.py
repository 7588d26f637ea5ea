"""A cascade of two widths inside an accelerator: what it needs, and what comes of it."""

from dataclasses import dataclass

import numpy as np

from downshift.hw.logit_margin import MARGIN_WIDTH
from downshift.hw.protocol import Command
from downshift.sw.compile.image import Image
from downshift.sw.device.frame_result import FrameResult

__all__ = ["MOST_THRESHOLD", "PolicyResult", "can_cascade", "cascade_request"]

MOST_LOGITS = 255
MOST_THRESHOLD = (1 << MARGIN_WIDTH) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyResult:
    """One frame."""

    result: FrameResult
    """Of its last run."""
    widths: tuple[int, ...]
    """Of its runs, in order."""
    cycles: int
    """Of all of them."""

    @classmethod
    def of(cls, result: FrameResult, first: int, second: int, told: bytes) -> "PolicyResult":
        """Read what CASCADE replies besides counters."""
        before = int.from_bytes(told[:3], "little")
        widths = (first, second) if told[3] else (first,)
        return cls(result=result, widths=widths, cycles=result.cycles + before)


def can_cascade(image: Image, first: int, second: int) -> bool:
    """Whether an image leaves a frame's input in place at one width, for another.

    Also its logits must be one pixel, of 255 at most, as they come out of the memory.
    """
    entering, *others = image.maps[first]
    if image.maps[second][0] != entering:
        return False
    if any(entry.base < entering.end and entering.base < entry.end for entry in others):
        return False
    leaving = others[-1]
    count = leaving.shape[2]
    if leaving.shape[:2] != (1, 1) or count > MOST_LOGITS:
        return False
    content = np.arange(count, dtype="<i4").tobytes().ljust(leaving.size, b"\0")
    return bool((leaving.decode(content).reshape(-1) == np.arange(count)).all())


def cascade_request(image: Image, first: int, second: int, threshold: int) -> tuple[Command, bytes]:
    """Return command and payload that ask for a cascade."""
    leaving = image.maps[first][-1]
    payload = (
        (first | second << 4).to_bytes(1, "little")
        + min(max(threshold, 0), MOST_THRESHOLD).to_bytes(3, "little")
        + leaving.base.to_bytes(3, "little")
        + leaving.shape[2].to_bytes(1, "little")
    )
    return Command.CASCADE, payload
