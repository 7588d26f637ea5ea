"""Frames beside the toggles of every net while each was computed: `count_frames`."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import END, Command, decode_frame
from downshift.sim.runner import Simulation
from downshift.sim.toggles import Toggles, count_toggles
from downshift.sim.verify import Case, WidthReport, run_frames, verify
from downshift.sw.atomic_write import make_folder
from downshift.sw.device.driver import Accelerator

__all__ = ["ACCELERATOR", "count_frames", "run_watched"]

TRACE = "trace.vcd"
"""As `trace_window.v` calls it."""
MARKER = "serial_port.window.counting"
ACCELERATOR = "serial_port.dut"
"""Scope of the accelerator's nets."""


def count_frames(
    simulation: Simulation, case: Case, out: Path, *, progress: Path | None = None
) -> tuple[dict[int, WidthReport], Toggles]:
    """Run frames in simulation, compare all they give with golden, and count toggles.

    Toggles are counted while a frame is computed: from when the request to run is sent to the last
    bit until the first bit of the reply. The dump goes through a pipe, and is never on a disk.

    Parameters
    ----------
    simulation : Simulation
        Traced; see `downshift.sim.runner.build_simulation`.
    case : Case
    out : Path
        Folder for files.
    progress : Path, optional
        File that always holds the number of frames run so far.

    Returns
    -------
    dict of int to WidthReport
        By width.
    Toggles
        A window for each frame of the schedule.

    Raises
    ------
    DownshiftError
        If the simulation fails, or a trace cannot be read.
    """
    make_folder(out)
    with _counting(out / TRACE) as counting:
        (reports,) = verify(
            simulation, [case], out, progress=progress,
            work="downshift.sim.traced_frames:run_watched",
        )  # fmt: skip
    toggles = counting.result()
    assert len(toggles.counts) == len(case.schedule), "a window for each frame"
    return reports, toggles


def run_watched(accelerator: Accelerator, *, folder: str, **arguments) -> list:
    """Run frames as `downshift.sim.verify.run_frames` does; those of the schedule are watched."""
    with np.load(Path(folder) / "0.npz") as inputs:
        runs = len(inputs["schedule"])
    link = accelerator.link
    link.transport = _WatchedRuns(link.transport, runs)
    return run_frames(accelerator, folder=folder, **arguments)


class _WatchedRuns:
    """A transport whose port watches the first requests to run.

    Parameters
    ----------
    transport : downshift.sim.bench.SimulationTransport
    runs : int
        How many; those after them run layers that are compared.
    """

    def __init__(self, transport, runs: int):
        self.transport = transport
        self.runs = runs

    def write(self, content: bytes) -> None:
        request = decode_frame(content.strip(bytes([END])))
        runs = request is not None and request[1] == Command.RUN and self.runs > 0
        self.runs -= runs
        self.transport.watch(runs)
        self.transport.write(content)

    def read(self) -> bytes:
        return self.transport.read()

    def drain(self) -> None:
        self.transport.drain()


@contextmanager
def _counting(path: Path) -> Iterator[Future[Toggles]]:
    """Count what is written to a pipe at `path` while the body runs."""
    try:
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    except OSError as error:
        raise DownshiftError(
            f"Cannot make a pipe at {path}: {error.strerror}; choose a folder elsewhere"
        ) from None
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    # The trace ends with the body: a simulator may fail before it opens the pipe.
    writing = os.open(path, os.O_WRONLY)
    os.set_blocking(reading, True)
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(_count, reading)
        finally:
            os.close(writing)
            path.unlink()


def _count(descriptor: int) -> Toggles:
    with open(descriptor, "rb") as stream:
        try:
            return count_toggles(stream, marker=MARKER)
        except DownshiftError:
            while stream.read(1 << 20):  # a simulator whose pipe is cut never ends
                pass
            raise
