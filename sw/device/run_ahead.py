"""Frames whose requests are sent before those ahead of them are answered."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np

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
        Taken as there is room for them: at least one ahead. Whatever it raises comes after the
        results of the frames before.
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
        for taken in _taken(frames, asked):
            if isinstance(taken, Exception):
                while waiting and pipeline is not None:
                    yield from first(pipeline)
                raise taken
            codes, frame = taken
            if not waiting:
                pipeline = link.pipeline()
            while pipeline is not None and waiting and _must_wait(pipeline, waiting, frame):
                yield from first(pipeline)
                if not waiting:
                    pipeline = link.pipeline()
            if pipeline is None:
                yield alone(codes)
                continue
            pipeline.send(frame.requests)
            # The caller may use the array again before its frame is done.
            waiting.append((codes.copy(), frame))
        while waiting and pipeline is not None:
            yield from first(pipeline)
    finally:
        if pipeline is not None:
            pipeline.close()


def _taken(
    frames: Iterable[np.ndarray], asked: Callable[[np.ndarray], FrameRequests[Result]]
) -> Iterator[tuple[np.ndarray, FrameRequests[Result]] | Exception]:
    """Frames and what they ask for; at the end what kept the next one from being taken."""
    try:
        for codes in frames:
            yield codes, asked(codes)
    except Exception as error:  # whatever the caller's iterable raises
        yield error


def _must_wait(pipeline: Pipeline, waiting: deque, frame: FrameRequests) -> bool:
    return pipeline.lost or (len(waiting) > 1 and not pipeline.fits(frame.requests))
