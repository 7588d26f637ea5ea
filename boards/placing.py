"""Placing and routing a netlist with several seeds, here or on other machines: `place_seeds`."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from downshift.boards.board import Board
from downshift.boards.build_report import BuildReport, read_report
from downshift.boards.families import FAMILIES
from downshift.boards.families.family import TOP, Config, Step
from downshift.boards.flow import place_step
from downshift.boards.tools import Progress, run_steps
from downshift.hw.errors import DownshiftError

__all__ = ["Placed", "place_seeds"]


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A design that was placed and routed."""

    report: BuildReport
    files: Mapping[str, bytes]
    """What the tool wrote, its log included, by name."""


def place_seeds(
    board: Board,
    config: Config,
    folder: Path,
    *,
    seeds: Sequence[int],
    pool: Executor | None = None,
    jobs: int = 1,
    progress: Progress = lambda line: None,
) -> dict[int, Placed | DownshiftError]:
    """Place and route the netlist in `folder` with every seed.

    Parameters
    ----------
    board : Board
    config : AcceleratorConfig or TableConfig
    folder : Path
        Holds what `downshift.boards.flow.synthesis_steps` wrote; nothing is written there.
    seeds : sequence of int
        At least one.
    pool : Executor, optional
        Where to do it, such as that of a Dask client; its workers need the same tools.
    jobs : int
        How many at once, without a pool.
    progress : callable
        Called with a line when something begins or ends.

    Returns
    -------
    dict of int to Placed or DownshiftError
        By seed, in the order of `seeds`: the result, or why there is none.
    """
    name, _ = FAMILIES[board.family].constraints(board)
    inputs = {file: (folder / file).read_bytes() for file in (name, f"{TOP}.json")}
    steps = {seed: place_step(board, config, seed=seed) for seed in seeds}
    progress(steps[seeds[0]].title)
    results: dict[int, Placed | DownshiftError] = {}
    with ThreadPoolExecutor(jobs) as local:
        if pool is None:
            futures = {
                local.submit(_place, board, step, inputs, progress): seed
                for seed, step in steps.items()
            }
        else:
            futures = {
                pool.submit(_place, board, step, inputs): seed for seed, step in steps.items()
            }
        try:
            for future in as_completed(futures):
                seed = futures[future]
                try:
                    results[seed] = _read(board, folder, seed, future.result())
                except DownshiftError as error:
                    results[seed] = error
                if len(seeds) > 1:
                    progress(_told(seed, results[seed], f"{len(results)} of {len(seeds)}"))
        finally:
            for future in futures:
                future.cancel()
    return {seed: results[seed] for seed in seeds}


def _place(
    board: Board, step: Step, inputs: Mapping[str, bytes], progress: Progress = lambda line: None
) -> dict[str, bytes]:
    """Run a step in a folder of its own; return what it wrote."""
    with TemporaryDirectory(prefix="downshift-") as name:
        folder = Path(name)
        for file, content in inputs.items():
            (folder / file).write_bytes(content)
        run_steps(board, [step], folder, lambda line: line == step.title or progress(line))
        return {
            path.name: path.read_bytes() for path in folder.iterdir() if path.name not in inputs
        }


def _read(board: Board, folder: Path, seed: int, files: Mapping[str, bytes]) -> Placed:
    """Read the figures of what was written."""
    with TemporaryDirectory(prefix="downshift-") as name:
        path = Path(name) / "report.json"
        path.write_bytes(files.get(path.name, b""))
        report = read_report(board, report=path, synthesis=folder / "synthesis.json", seed=seed)
    return Placed(report=report, files=files)


def _told(seed: int, result: Placed | DownshiftError, count: str) -> str:
    outcome = result if isinstance(result, DownshiftError) else f"{result.report.fmax_mhz:g} MHz"
    return f"Seed {seed}: {outcome} ({count})"
