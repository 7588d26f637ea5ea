"""From a configuration to Verilog, and on to a bitstream."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from downshift.boards.board import Board
from downshift.boards.build_report import BuildReport, check_fit, read_report
from downshift.boards.families import FAMILIES
from downshift.boards.families.family import Step
from downshift.boards.flow import build_script, constraints, steps, synthesis_script
from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sw.atomic_write import atomic_folder

__all__ = ["build", "check_tools", "generate", "run_steps", "source_files"]

Progress = Callable[[str], None]

Core = Callable[..., Any]
"""Makes the accelerator from ``config`` and ``divisor``, and with a `TableConfig` also ``fabric``;
see `downshift.hw.top.Top`."""

INSTALL = "pip install 'downshift[fpga]'"


def generate(
    board: Board,
    config: AcceleratorConfig | TableConfig | None,
    out: Path,
    *,
    seed: int = 1,
    core: Core | None = None,
) -> Path:
    """Write the Verilog of a whole board, its constraints, and the script that builds it.

    Parameters
    ----------
    board : Board
    config : AcceleratorConfig, TableConfig or None
        The board's own by default.
    out : Path
        Folder for ``top.v``, ``top.lpf`` or ``top.pcf``, ``synthesis.ys`` and ``build.sh``;
        created if it is missing.
    seed : int
        Of place and route, in ``build.sh``.
    core : callable, optional
        Another accelerator than `downshift.hw.top.Top`.

    Returns
    -------
    Path
        The Verilog.

    Raises
    ------
    DownshiftError
        If the PLL cannot make the clock of the board, or `out` cannot be written.
    """
    # Amaranth takes longer to load than a list of boards may.
    from downshift.boards.clocking import dividers
    from downshift.boards.verilog import board_verilog

    if core is None:
        from downshift.hw.top import Top

        core = Top
    config = config or board.config
    dividers(board)
    arguments: dict[str, Any] = {"config": config, "divisor": board.divisor}
    if isinstance(config, TableConfig):
        arguments["fabric"] = FAMILIES[board.family].fabric()
    verilog = board_verilog(board, core(**arguments))
    name, pins = constraints(board)
    with atomic_folder(out) as folder:
        (folder / "top.v").write_text(verilog)
        (folder / name).write_text(pins)
        (folder / "synthesis.ys").write_text(synthesis_script(board, config))
        (folder / "build.sh").write_text(build_script(board, config, seed=seed))
        (folder / "build.sh").chmod(0o755)
    return Path(out) / "top.v"


def source_files(board: Board) -> tuple[str, ...]:
    """Return the names of what `generate` writes."""
    return ("top.v", constraints(board)[0], "synthesis.ys", "build.sh")


def build(
    board: Board,
    config: AcceleratorConfig | TableConfig | None,
    out: Path,
    *,
    seed: int = 1,
    progress: Progress = lambda line: None,
    core: Core | None = None,
    sources: Path | None = None,
    files: Mapping[str, bytes] | None = None,
) -> BuildReport:
    """Generate Verilog, synthesise it, place, route and pack a bitstream.

    Nothing appears in `out` until everything worked. The bitstream depends on the arguments and the
    versions of the tools alone.

    Parameters
    ----------
    board : Board
    config : AcceleratorConfig, TableConfig or None
        The board's own by default.
    out : Path
        Folder for what `generate` writes, the bitstream, ``report.json`` (utilisation and timing),
        ``synthesis.json`` (cells) and the logs of the tools; created if it is missing.
    seed : int
        Of place and route.
    progress : callable
        Called with a line before each step.
    core : callable, optional
        Another accelerator than `downshift.hw.top.Top`.
    sources : Path, optional
        Folder that `generate` wrote with the same arguments, to save doing it again.
    files : mapping of str to bytes, optional
        More for `out`, by name: what the accelerator is to run.

    Raises
    ------
    DownshiftError
        If a tool is missing or fails, or the design does not fit or is too slow for its clock.
    """
    check_tools(board)
    flow = steps(board, config or board.config, seed=seed)
    with atomic_folder(out) as folder:
        if sources is None:
            progress("Generating Verilog")
            generate(board, config, folder, seed=seed, core=core)
        else:
            for source in source_files(board):
                shutil.copy2(sources / source, folder / source)
        run_steps(board, flow, folder, progress)
        bitstream = flow[-1].arguments[-1]
        report = read_report(
            board,
            report=folder / "report.json",
            synthesis=folder / "synthesis.json",
            seed=seed,
            bitstream=Path(out) / bitstream,
        )
        if not report.meets_clock:
            raise DownshiftError(
                f"The accelerator was routed at {report.fmax_mhz:g} MHz, {board.name} clocks it at "
                f"{report.clock_mhz:g} MHz; try another seed than {seed} or fewer rows or lanes"
            )
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content)
        # The netlist and the placed design are large, and build.sh makes them again.
        for name in ("top.json", "top.config", "top.asc", "top.placed.json"):
            (folder / name).unlink(missing_ok=True)
    return report


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


def check_tools(board: Board) -> None:
    """Raise `DownshiftError` if a tool that a build for `board` needs is not installed."""
    for step in steps(board, board.config, seed=0):
        _program(step)


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
