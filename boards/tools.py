"""Running the tools of the flow: `run_steps`."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from downshift.boards.board import Board
from downshift.boards.build_report import check_fit
from downshift.boards.families.family import Step
from downshift.boards.flow import steps
from downshift.hw.errors import DownshiftError

__all__ = ["Progress", "check_tools", "run_steps"]

Progress = Callable[[str], None]

INSTALL = "pip install 'downshift[fpga]'"


def check_tools(board: Board) -> None:
    """Raise `DownshiftError` if a tool that a build for `board` needs is not installed."""
    for step in steps(board, board.config, seed=0):
        _program(step)


def run_steps(
    board: Board, flow: Sequence[Step], folder: Path, progress: Progress = lambda line: None
) -> None:
    """Run tools in the folder of the Verilog, one after the other.

    Raises
    ------
    DownshiftError
        If one fails or ends early, or the design does not fit `board`.
    """
    for step in flow:
        progress(step.title)
        status = _run(step, folder, progress)
        log = (folder / step.log).read_text(errors="replace")
        if status < 0:
            raise DownshiftError(f"{step.tool} was ended by signal {-status}; start it again")
        check_fit(board, log)
        if status:
            raise DownshiftError(f"{step.tool} failed: {_reason(log)}")


def _program(step: Step) -> list[str]:
    """Command line of the tool of a step, from this Python's own packages."""
    if "." in step.tool:
        if find_spec("pyosys") is None:
            raise DownshiftError(f"Synthesis needs pyosys, which is not installed: {INSTALL}")
        return [sys.executable, "-m", step.tool]
    for point in entry_points(group="console_scripts", name=step.tool):
        run = f"from {point.module} import {point.attr} as run; run()"
        return [sys.executable, "-c", run]
    raise DownshiftError(f"A bitstream needs {step.tool}, which is not installed: {INSTALL}")


def _run(step: Step, folder: Path, progress: Progress) -> int:
    """Run a step in `folder`, its output into its log; return its exit status."""
    with (folder / step.log).open("w") as log, subprocess.Popen(
        [*_program(step), *step.arguments],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("Preparing to run"):
                    progress(f"Compiling {step.tool}, on its first use only: a minute or two")
                else:
                    log.write(line)
        except BaseException:
            process.kill()
            raise
    return process.returncode


def _reason(log: str) -> str:
    """The line of a log that says best what went wrong: the first error, or what came last."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return [*errors[:1], *lines[-1:], "it printed nothing"][0]
