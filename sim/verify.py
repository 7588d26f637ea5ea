"""Verification of an accelerator: every logit and code of many frames against golden."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from downshift.sim import golden
from downshift.sim.layer_programs import overwritten_maps, run_layers
from downshift.sim.runner import Simulation
from downshift.sw.compile.image import Image
from downshift.sw.device.driver import Accelerator
from downshift.sw.device.frame_result import FrameCounters
from downshift.sw.graph.integer_graph import IntegerGraph

__all__ = ["Case", "WidthReport", "run_frames", "verify"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A network and the frames to run."""

    graph: IntegerGraph
    image: Image
    """Compiled from `graph`."""
    x: np.ndarray
    """Input codes, uint8 of (n, height, width, channels)."""
    schedule: Sequence[tuple[int, int]]
    """Index of the input and width of each frame."""


@dataclass(kw_only=True)
class WidthReport:
    """What was compared at one width."""

    images: int = 0
    logits_compared: int = 0
    codes_compared: int = 0
    mismatches: int = 0
    counters: list[FrameCounters] = field(default_factory=list)
    """Of each frame."""
    bytes_sent: list[int] = field(default_factory=list)
    """Over the link for each frame."""
    after_switch: list[bool] = field(default_factory=list)
    """Whether the frame before had another width."""

    @property
    def cycles(self) -> list[int]:
        """Of each frame."""
        return [counters.cycles for counters in self.counters]


def run_frames(accelerator: Accelerator, *, folder: str, progress: str | None = None) -> list:
    """Load the image of each case, run its frames, and keep all that they gave.

    Maps in whose place others lie after a frame are read from a second run, layer by layer.

    Parameters
    ----------
    accelerator : Accelerator
    folder : str
        For each case n, reads ``n.img`` and ``n.npz`` with ``x`` and ``schedule``, and writes
        ``n.out.npz``: what the frames gave, by name of the map and position in the schedule.
    progress : str, optional
        File that always holds the number of frames run so far.

    Returns
    -------
    list of dict
        For each frame of all cases: its `FrameCounters`, and the bytes sent for it.
    """
    frames = []
    for number in range(len(list(Path(folder).glob("*.img")))):
        with np.load(Path(folder) / f"{number}.npz") as inputs:
            x, schedule = inputs["x"], inputs["schedule"]
        image = Image.load(Path(folder) / f"{number}.img")
        accelerator.load(image)
        kept = {}
        for position, (index, width) in enumerate(schedule.tolist()):
            before = accelerator.link.bytes_sent
            result = accelerator.run(x[index], width)
            frames.append(
                {
                    "counters": asdict(result.counters),
                    "bytes_sent": accelerator.link.bytes_sent - before,
                }
            )
            kept[f"{position}"] = result.logits
            lost = overwritten_maps(image, width)
            for entry in image.maps[width][1:-1]:
                if entry.name not in lost:
                    kept[f"{position}/{entry.name}"] = accelerator.read_map(entry.name, width)
            if progress:
                Path(progress).write_text(str(len(frames)))
        for position, (index, width) in enumerate(schedule.tolist()):
            lost = overwritten_maps(image, width)
            for name, _ in run_layers(accelerator, image, width, x[index]) if lost else ():
                if name in lost:
                    kept[f"{position}/{name}"] = accelerator.read_map(name, width)
        np.savez(Path(folder) / f"{number}.out.npz", **kept)
    return frames


def verify(
    simulation: Simulation,
    cases: Sequence[Case],
    out: Path,
    *,
    progress: Path | None = None,
    work: str = "downshift.sim.verify:run_frames",
) -> list[dict[int, WidthReport]]:
    """Run frames in simulation, through the host link, and compare all they give with golden.

    Parameters
    ----------
    simulation : Simulation
    cases : sequence of Case
    out : Path
        Folder for files.
    progress : Path, optional
        File that always holds the number of frames run so far.
    work : str
        What runs the frames in the simulator, as `run_frames` does.

    Returns
    -------
    list of dict of int to WidthReport
        For each case, by width.
    """
    folder = out.resolve() / "frames"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.*"):  # by more cases before
        left.unlink()
    for number, case in enumerate(cases):
        (folder / f"{number}.img").write_bytes(case.image.to_bytes())
        np.savez(folder / f"{number}.npz", x=case.x, schedule=np.array(case.schedule))
    arguments = {"folder": str(folder)}
    if progress is not None:
        arguments["progress"] = str(progress.resolve())
    frames = iter(simulation.run(work, arguments, out))
    return [
        _compare(case, folder / f"{number}.out.npz", [next(frames) for _ in case.schedule])
        for number, case in enumerate(cases)
    ]


def _compare(case: Case, path: Path, frames: list[dict]) -> dict[int, WidthReport]:
    """Count what differs between the outputs in a file and golden."""
    expected = {
        width: golden.run(case.graph, case.x, width) for width in {w for _, w in case.schedule}
    }
    reports: dict[int, WidthReport] = {}
    previous = None
    with np.load(path) as outputs:
        for position, ((index, width), frame) in enumerate(zip(case.schedule, frames, strict=True)):
            report = reports.setdefault(width, WidthReport())
            report.images += 1
            report.counters.append(FrameCounters(**frame["counters"]))
            report.bytes_sent.append(frame["bytes_sent"])
            report.after_switch.append(previous not in (None, width))
            previous = width

            want = expected[width]
            logits = outputs[f"{position}"]
            report.logits_compared += logits.size
            report.mismatches += int((logits != want.logits[index]).sum())
            for name, codes in want.codes.items():
                got = outputs[f"{position}/{name}"]
                report.codes_compared += got.size
                report.mismatches += int((got != codes[index]).sum())
    return reports
