"""From a configuration to a bitstream: `build`."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from downshift.boards.board import Board
from downshift.boards.build_report import BuildReport, read_mapped
from downshift.boards.clocks import clocks_below
from downshift.boards.families import FAMILIES
from downshift.boards.families.family import TOP, Config, RoutedFamily
from downshift.boards.flow import build_script, synthesis_steps
from downshift.boards.generate import Core, generate, source_files
from downshift.boards.placing import Placed, place_seeds
from downshift.boards.readme import readme
from downshift.boards.tools import Progress, check_tools, run_steps
from downshift.hw.errors import DownshiftError
from downshift.sw.atomic_write import atomic_folder
from downshift.sw.compile.config_file import CONFIG, config_text

__all__ = ["build"]

WORTH_ANOTHER_ROUTE = 1.02
"""How much faster a clock must be to route once more for it."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How the fastest design is looked for: the arguments of `build` that say so."""

    seeds: Sequence[int]
    pool: Executor | None
    jobs: int
    progress: Progress
    core: Core | None


def build(
    board: Board,
    config: Config | None,
    out: Path,
    *,
    clock_hz: int | None = None,
    seeds: Sequence[int] = (1,),
    pool: Executor | None = None,
    jobs: int = 1,
    progress: Progress = lambda line: None,
    core: Core | None = None,
    sources: Path | None = None,
    files: Mapping[str, bytes] | None = None,
) -> BuildReport:
    """Generate Verilog, synthesise it, place, route and pack a bitstream.

    Where only the maker's tools place and route, it ends with a project for them, and what Yosys
    says of the size. Nothing appears in `out` until everything worked. What appears depends on the
    arguments and the versions of the tools alone, but for what the logs say about time.

    Parameters
    ----------
    board : Board
    config : AcceleratorConfig, TableConfig or None
        The board's own by default.
    out : Path
        Folder for what `generate` writes, the bitstream, ``report.json`` (utilisation and timing),
        ``synthesis.json`` (cells), ``config.json`` (the accelerator), ``README.txt`` and the logs
        of the tools; created if it is missing.
    clock_hz : int, optional
        Frequency of the accelerator. By default, what is routed for the board's own clock tells how
        fast it can be, and it is routed again for the highest clock below that; what misses its
        clock is routed once more for a lower one.
    seeds : sequence of int
        Of place and route; the fastest design is kept.
    pool : Executor, optional
        Where seeds are tried, such as that of a Dask client; its workers need the same tools.
    jobs : int
        How many seeds are tried at once, without a pool.
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
    config = config or board.config
    search = Search(seeds=seeds, pool=pool, jobs=jobs, progress=progress, core=core)
    with atomic_folder(out) as folder:
        if clock_hz is not None:
            board = replace(board, clock_hz=clock_hz)
        family = FAMILIES[board.family]
        if not isinstance(family, RoutedFamily):
            _synthesised(board, config, folder, search, sources)
            report = read_mapped(board, folder / "synthesis.json")
        else:
            if clock_hz is None:
                board, placed = _fastest(board, config, folder, search, sources)
            else:
                placed = _attempt(board, config, folder, search, sources)
                if not placed.report.meets_clock:
                    raise _too_slow(board, placed, seeds)
            packing = family.packing(board)
            run_steps(board, [packing], folder, progress)
            report = replace(placed.report, bitstream=Path(out) / packing.arguments[-1])
        more = {
            "README.txt": readme(board, config, report).encode(),
            CONFIG: config_text(config).encode(),
            **(files or {}),
        }
        for name, content in more.items():
            (folder / name).write_bytes(content)
        # The netlist and the placed design are large, and build.sh makes them again.
        for name in (f"{TOP}.json", f"{TOP}.config", f"{TOP}.asc", f"{TOP}.placed.json"):
            (folder / name).unlink(missing_ok=True)
    return report


def _fastest(
    board: Board, config: Config, folder: Path, search: Search, sources: Path | None
) -> tuple[Board, Placed]:
    """Find the board's fastest clock by routing for it; leave that design in `folder`.

    The first design tells what is in reach. Whether a design for that clock meets it is known when
    it is routed; where not, one for what it did reach is tried, once.
    """
    chosen, clock_hz = None, board.clock_hz
    for attempt in range(3):
        clocked = replace(board, clock_hz=clock_hz)
        if attempt:
            search.progress(f"Again, for {clock_hz / 1e6:g} MHz")
        with tempfile.TemporaryDirectory(prefix="downshift-") as name:
            placed = _attempt(
                clocked, config, Path(name), search, None if attempt else sources
            )
            if placed.report.meets_clock:
                chosen = clocked, placed
                shutil.copytree(name, folder, dirs_exist_ok=True)
        faster = next(clocks_below(board, placed.report.fmax_mhz), None)
        reached = chosen[0].clock_hz if chosen else 0
        found = attempt and placed.report.meets_clock
        if found or faster is None or faster <= reached * WORTH_ANOTHER_ROUTE:
            break
        clock_hz = faster
    if chosen is None:
        raise _too_slow(clocked, placed, search.seeds)
    return chosen


def _synthesised(
    board: Board, config: Config, folder: Path, search: Search, sources: Path | None
) -> None:
    """Write sources and netlist into `folder`."""
    if sources is None:
        search.progress("Generating Verilog")
        generate(board, config, folder, core=search.core)
    else:
        for source in source_files(board):
            shutil.copy2(sources / source, folder / source)
    run_steps(board, synthesis_steps(board, config), folder, search.progress)


def _attempt(
    board: Board, config: Config, folder: Path, search: Search, sources: Path | None
) -> Placed:
    """Write sources and netlist into `folder`, and the fastest of the designs routed from it."""
    _synthesised(board, config, folder, search, sources)
    results = place_seeds(
        board, config, folder,
        seeds=search.seeds, pool=search.pool, jobs=search.jobs, progress=search.progress,
    )
    placed = [each for each in results.values() if isinstance(each, Placed)]
    if not placed:
        raise next(iter(results.values()))  # pyright: ignore[reportGeneralTypeIssues]
    best = max(placed, key=lambda each: each.report.fmax_mhz)
    for name, content in best.files.items():
        (folder / name).write_bytes(content)
    (folder / "build.sh").write_text(build_script(board, config, seed=best.report.seed))
    return best


def _too_slow(board: Board, placed: Placed, seeds: Sequence[int]) -> DownshiftError:
    tried = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
    return DownshiftError(
        f"The accelerator was routed at {placed.report.fmax_mhz:g} MHz with {tried}, {board.name} "
        f"clocks it at {board.clock_hz / 1e6:g} MHz; try more seeds, another clock, or fewer rows "
        "or lanes"
    )
