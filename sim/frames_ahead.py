"""Frames on a simulated accelerator, one after the other and ahead of each other."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from cocotb.utils import get_sim_time

from downshift.sw.compile.image import Image
from downshift.sw.device.driver import Accelerator, FrameResult

__all__ = ["frames_ahead"]


def frames_ahead(accelerator: Accelerator, *, image: str, inputs: str, width: int) -> dict:
    """Run frames at one width, each when the one before is done, and then ahead of each other.

    Parameters
    ----------
    accelerator : Accelerator
        Simulated.
    image, inputs : str
        Files: an image; uint8 of (n, height, width, channels).
    width : int

    Returns
    -------
    dict
        For ``alone`` and ``ahead``: ``logits`` of the frames, and the ``ns`` that they took.
    """
    x = np.load(inputs)
    accelerator.load(Image.load(Path(image)))

    def timed(run: Callable[[], Iterable[FrameResult]]) -> dict:
        start = get_sim_time("ns")
        logits = [each.logits.tolist() for each in run()]
        return {"logits": logits, "ns": get_sim_time("ns") - start}

    return {
        "alone": timed(lambda: [accelerator.run(codes, width) for codes in x]),
        "ahead": timed(lambda: accelerator.run_all(x, width)),
    }
