"""All that is asked of an accelerator for one frame, so that it can be sent ahead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from downshift.hw.protocol import Command
from downshift.sw.compile.image import Image
from downshift.sw.device.cascade import PolicyResult, cascade_request
from downshift.sw.device.frame_result import FrameCounters, FrameResult
from downshift.sw.device.memory_requests import Request, reads, writes

__all__ = ["FrameRequests", "Result", "cascade_requests", "run_requests"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class FrameRequests(Generic[Result]):
    """Requests of one frame."""

    requests: tuple[Request, ...]
    """In order: the input, the run, the logits."""
    result: Callable[[list[bytes]], Result]
    """Makes what the replies carry into a result."""


def run_requests(image: Image, codes: np.ndarray, width: int) -> FrameRequests[FrameResult]:
    """Ask for a frame at one width."""
    before = _input(image, codes, width)
    leaving = image.maps[width][-1]
    run = (Command.RUN, bytes([width]))
    after = tuple(reads(leaving.base, leaving.size))

    def result(replies: list[bytes]) -> FrameResult:
        counters, *parts = replies[len(before) :]
        logits = leaving.decode(b"".join(parts)).reshape(-1)
        return FrameResult(logits=logits, counters=FrameCounters.from_reply(counters))

    return FrameRequests((*before, run, *after), result)


def cascade_requests(
    image: Image, codes: np.ndarray, first: int, second: int, threshold: int
) -> FrameRequests[PolicyResult]:
    """Ask for a frame at one of two widths, and for what lies where either leaves its logits."""
    before = _input(image, codes, first)
    leaving = {width: image.maps[width][-1] for width in (first, second)}
    cascade = cascade_request(image, first, second, threshold)
    after = {width: tuple(reads(each.base, each.size)) for width, each in leaving.items()}
    requests = (*before, cascade, *after[first], *after[second])

    def result(replies: list[bytes]) -> PolicyResult:
        told, *parts = replies[len(before) :]
        of_first, of_second = parts[: len(after[first])], parts[len(after[first]) :]
        width, chosen = (second, of_second) if told[-1] else (first, of_first)
        logits = leaving[width].decode(b"".join(chosen)).reshape(-1)
        last = FrameResult(logits=logits, counters=FrameCounters.from_reply(told[:-4]))
        return PolicyResult.of(last, first, second, told[-4:])

    return FrameRequests(requests, result)


def _input(image: Image, codes: np.ndarray, width: int) -> tuple[Request, ...]:
    """Write the input."""
    return tuple(writes(image.maps[width][0].base, image.encode_input(codes, width)))
