"""Frames whose requests are sent before those ahead of them are answered."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.device.frame_requests import FrameRequests, Result
from downshift.sw.device.pipeline import Pipeline
from downshift.sw.device.requester import Requester

__all__ = ["run_ahead"]


def run_ahead(
    link: Requester,
    frames: Iterable[np.ndarray],
    asked: Callable[[np.ndarray], FrameRequests[Result]],
    alone: Callable[[np.ndarray], Result],
) -> Iterator[Result]:
    """Run frames through a pipeline of the link; alone where it has none, or lost something.

    Parameters
    ----------
    link : Requester
        To an accelerator with a queue.
    frames : iterable of arrays
        Taken as there is room for them: at least one ahead.
    asked, alone : callable
        What a frame asks for; what runs it by itself, and raises what cannot be mended.

    Yields
    ------
    Results, in the order of the frames.
    """
    waiting: deque[tuple[np.ndarray, FrameRequests[Result]]] = deque()
    pipeline: Pipeline | None = None

    def first(pipeline: Pipeline) -> Iterator[Result]:
        """The first that waits; or all, if something was lost."""
        replies = pipeline.receive()
        if replies is not None:
            yield waiting.popleft()[1].result(replies)
            return
        while waiting:
            yield alone(waiting.popleft()[0])

    try:
        for codes in frames:
            if not waiting:
                pipeline = link.pipeline()
            if pipeline is None:
                yield alone(codes)
                continue
            try:
                frame = asked(codes)
            except DownshiftError:
                while waiting:
                    yield from first(pipeline)
                raise
            while len(waiting) > 1 and not pipeline.fits(frame.requests):
                yield from first(pipeline)
            pipeline.send(frame.requests)
            waiting.append((codes, frame))
        while waiting and pipeline is not None:
            yield from first(pipeline)
    finally:
        if pipeline is not None:
            pipeline.close()
