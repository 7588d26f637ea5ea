"""Cascades of two widths inside a simulated accelerator."""

from pathlib import Path

import numpy as np

from downshift.sw.compile.image import Image
from downshift.sw.device.driver import Accelerator
from downshift.sw.policy.policies import Cascade
from downshift.sw.policy.runner import PolicyRunner

__all__ = ["cascades"]


def cascades(
    accelerator: Accelerator,
    *,
    image: str,
    inputs: str,
    schedule: list[tuple[int, int, int, int]],
) -> list[dict]:
    """Run frames under cascades, each of its own.

    Parameters
    ----------
    accelerator : Accelerator
        Simulated.
    image, inputs : str
        Files: an image; uint8 of (n, height, width, channels).
    schedule : list of (int, int, int, int)
        Input, first and second width, and threshold of each frame.

    Returns
    -------
    list of dict
        For each frame: ``widths`` of its runs, ``cycles`` of all, ``logits``; ``within``, whether
        the accelerator decided.
    """
    good, x = Image.load(Path(image)), np.load(inputs)
    accelerator.load(good)
    results = []
    for index, first, second, threshold in schedule:
        runner = PolicyRunner(accelerator, Cascade(((first, threshold), (second, 0))))
        (result,) = runner.run_all(x[index : index + 1])
        results.append(
            {
                "widths": result.widths,
                "cycles": result.cycles,
                "logits": result.result.logits.tolist(),
                "within": runner.within,
            }
        )
    return results
