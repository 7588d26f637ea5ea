"""Verification of an accelerator: every logit and code of many frames against golden."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from downshift.sim import golden
from downshift.sim.runner import Simulation
from downshift.sw.driver import Accelerator
from downshift.sw.image import Image
from downshift.sw.integer_graph import IntegerGraph

__all__ = ["WidthReport", "run_frames", "verify"]


@dataclass(kw_only=True)
class WidthReport:
    """What was compared at one width."""

    images: int = 0
    logits_compared: int = 0
    codes_compared: int = 0
    mismatches: int = 0
    cycles: list[int] = field(default_factory=list)
    """Of each frame."""
    weight_words: int = 0
    """Words read from the weight store in one frame."""


def run_frames(
    accelerator: Accelerator, *, image: str, inputs: str, out: str, schedule: Sequence[list[int]]
) -> dict:
    """Load an image, run frames, and keep all that they gave.

    Parameters
    ----------
    accelerator : Accelerator
    image, inputs, out : str
        Files: the image; ``x``, uint8 of (n, height, width, channels); what the frames gave, by
        name of the map and position in the schedule.
    schedule : sequence of [int, int]
        Index of the input and width of each frame.

    Returns
    -------
    dict
        Counters of each frame, and the bytes sent for it.
    """
    x = np.load(inputs)["x"]
    accelerator.load(Image.load(Path(image)))
    assert accelerator.image is not None
    kept, frames = {}, []
    for position, (index, width) in enumerate(schedule):
        before = accelerator.bytes_sent
        result = accelerator.run(x[index], width)
        sent = accelerator.bytes_sent - before
        frames.append(
            {"cycles": result.cycles, "weight_words": result.weight_words, "bytes_sent": sent}
        )
        kept[f"logits/{position}"] = result.logits
        for entry in accelerator.image.maps[width][1:-1]:
            kept[f"{entry.name}/{position}"] = accelerator.read_map(entry.name, width)
    np.savez(out, **kept)
    return {"frames": frames}


def verify(
    simulation: Simulation,
    graph: IntegerGraph,
    image: Image,
    x: np.ndarray,
    schedule: Sequence[tuple[int, int]],
    out: Path,
) -> tuple[dict[int, WidthReport], list[dict]]:
    """Run frames in simulation and compare all that they give with golden.

    Parameters
    ----------
    simulation : Simulation
    graph : IntegerGraph
    image : Image
        Compiled from `graph`.
    x : uint8 array, shape (n, height, width, channels)
        Input codes.
    schedule : sequence of (int, int)
        Index of the input and width of each frame.
    out : Path
        Folder for files.

    Returns
    -------
    reports : dict of int to WidthReport
    frames : list of dict
        Counters of each frame.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.img").write_bytes(image.to_bytes())
    np.savez(out / "inputs.npz", x=x)
    result = simulation.run(
        "downshift.sim.verify:run_frames",
        {
            "image": str(out / "model.img"),
            "inputs": str(out / "inputs.npz"),
            "out": str(out / "outputs.npz"),
            "schedule": [list(frame) for frame in schedule],
        },
        out,
    )
    expected = {width: golden.run(graph, x, width) for width in {w for _, w in schedule}}
    reports: dict[int, WidthReport] = {}
    with np.load(out / "outputs.npz") as outputs:
        for position, ((index, width), frame) in enumerate(
            zip(schedule, result["frames"], strict=True)
        ):
            report = reports.setdefault(width, WidthReport())
            want = expected[width]
            report.images += 1
            report.cycles.append(frame["cycles"])
            report.weight_words = frame["weight_words"]
            logits = outputs[f"logits/{position}"]
            report.logits_compared += logits.size
            report.mismatches += int((logits != want.logits[index]).sum())
            for name, codes in want.codes.items():
                got = outputs[f"{name}/{position}"]
                report.codes_compared += got.size
                report.mismatches += int((got != codes[index]).sum())
    return reports, result["frames"]
