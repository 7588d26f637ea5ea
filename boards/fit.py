"""The fastest accelerator for a network that a board holds: `fit`."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, exp, log

from downshift.boards.board import Board, Resources
from downshift.boards.build_report import NOUNS
from downshift.boards.catalogue import BOARDS
from downshift.boards.families import FAMILIES
from downshift.boards.fit_runs import read_runs
from downshift.boards.predict import predict
from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.region import Region
from downshift.sim.cycles import cycles
from downshift.sw.compile.compiler import beyond_chain, compile_graph, suited
from downshift.sw.compile.image import Image
from downshift.sw.compile.memory_use import memory_use
from downshift.sw.graph.integer_graph import IntegerGraph

__all__ = ["Candidate", "Fit", "at_width", "can_fit", "fit"]

ROWS, LANES, REQUANTIZERS = (4, 8, 16, 32), (4, 8, 16), (1, 2, 4, 8)
SUM_DEPTHS = (256, 512, 1024)
LEAST = {"weight_depth": 256, "parameter_depth": 64, "program_depth": 128}
"""Words of memories, which come in powers of two."""
LEAST_BANK = 256
"""Bytes of a bank of activation memory: less would be made of look-up tables."""
AMPLE = {
    "weight_depth": 1 << 20, "activation_bytes": 1 << 22, "parameter_depth": 1 << 16,
    "program_depth": 1 << 16,
}
SECONDS = 45
"""How long candidates are looked at."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An accelerator that runs the network."""

    config: AcceleratorConfig
    cycles: dict[int, int]
    """Of a frame, by width."""
    needs: Resources
    """Predicted."""

    @property
    def mean_cycles(self) -> float:
        """Geometric mean over the widths."""
        return exp(sum(map(log, self.cycles.values())) / len(self.cycles))


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What was found for a board and a network."""

    chosen: Candidate
    others: tuple[Candidate, ...]
    """Others that the board holds, the fastest first."""
    looked_at: int
    """How many there were."""


def can_fit(board: Board) -> bool:
    """Whether it is known what accelerators take of a board's family."""
    return board.family in read_runs()


def fit(
    board: Board,
    graph: IntegerGraph,
    *,
    pool: Executor | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Fit:
    """Find the accelerator of the brick or dsp style that runs a network in the fewest cycles.

    Every number of rows, lanes and requantizers is looked at, with memories as large as the network
    needs them, and in its own cycles by the cycle model; those count that the board holds by
    `downshift.boards.predict.predict`, with what its family leaves free so that it can be routed.

    Parameters
    ----------
    board : Board
    graph : IntegerGraph
    pool : Executor, optional
        Where candidates are looked at, such as that of a Dask client.
    progress : callable
        Called with how many sizes have been looked at, and of how many.

    Raises
    ------
    DownshiftError
        If no accelerator of these styles runs the network, or the board holds none that does.
    """
    ended = time.monotonic() + SECONDS
    sizes = _sizes(board, graph)
    if (what := beyond_chain(graph)) and not any(size.all_layers for size in sizes):
        raise DownshiftError(
            f"{what}, which no accelerator for {board.name} can do; "
            + (_larger(board, graph) or "no board would do")
        )
    sizes = [
        size for size in sizes
        if _held(board, predict(board.family, size, features=board.features), memories=False)
    ]
    found: list[Candidate] = []
    progress(0, len(sizes))
    for done, candidate in enumerate(_candidates(board, graph, sizes, pool), 1):
        progress(done, len(sizes))
        if _held(board, candidate.needs):
            found.append(candidate)
        if found and time.monotonic() > ended:
            break
    if not found:
        raise DownshiftError(_too_large(board, graph))
    found.sort(key=lambda each: (each.mean_cycles, each.needs.lut, each.needs.bram))
    return Fit(chosen=found[0], others=tuple(found[1:]), looked_at=len(sizes))


def _sizes(board: Board, graph: IntegerGraph) -> list[AcceleratorConfig]:
    """Return all sizes of the array, with the least memories, the largest first.

    None is larger than what has been packed for the family. Where a network needs them, all layers
    are run by those that can.
    """
    variants = FAMILIES[board.family].variants
    largest = max(run["rows"] * run["lanes"] for run in read_runs()[board.family])
    sizes = (
        style(
            rows=rows, lanes=lanes, requantizers=requantizers, partial_sum_depth=depth,
            activation_bytes=LEAST_BANK * lanes, **(LEAST | variant),
        )
        for rows, lanes, requantizers, depth, (style, variant) in product(
            ROWS, LANES, REQUANTIZERS, SUM_DEPTHS, variants
        )
        if requantizers <= min(rows, lanes) and rows * lanes <= largest
    )
    return sorted(
        (suited(size, graph) for size in sizes),
        key=lambda size: (size.rows * size.lanes, size.requantizers),
        reverse=True,
    )


def _candidates(
    board: Board, graph: IntegerGraph, sizes: Sequence[AcceleratorConfig], pool: Executor | None
) -> Iterator[Candidate]:
    """Look at sizes, in their order, here or elsewhere."""
    if pool is None:
        yield from (_candidate(board, graph, size) for size in sizes)
        return
    futures = [pool.submit(_candidate, board, graph, size) for size in sizes]
    try:
        yield from (future.result() for future in futures)
    finally:
        for future in futures:
            future.cancel()


def _candidate(board: Board, graph: IntegerGraph, size: AcceleratorConfig) -> Candidate:
    """Give an array the memories that the network needs, and count its cycles."""
    image = _compiled(graph, size)
    return Candidate(
        config=image.config,
        cycles={width: cycles(image, width).total for width in graph.widths},
        needs=predict(board.family, image.config, features=board.features),
    )


def _compiled(graph: IntegerGraph, size: AcceleratorConfig) -> Image:
    """Compile for the smallest memories that do."""
    ample = compile_graph(graph, replace(size, **AMPLE))
    used = {name: bytes_used for name, (bytes_used, _) in memory_use(ample).items()}
    depths = {
        f"{region.name.lower().removesuffix('s')}_depth": ceil(
            used[region.name.lower()] / size.regions[region][0]
        )
        for region in (Region.WEIGHTS, Region.PARAMETERS, Region.PROGRAM)
    }
    config = replace(
        size, **{name: max(getattr(size, name), _power(depth)) for name, depth in depths.items()}
    )
    # Where maps lie depends on how much room there is for them.
    room = max(_power(entry.size) for maps in ample.maps.values() for entry in maps)
    while True:
        try:
            return compile_graph(
                graph, replace(config, activation_bytes=max(room, size.activation_bytes))
            )
        except DownshiftError:
            if room >= AMPLE["activation_bytes"]:
                raise
            room *= 2


def _power(value: int) -> int:
    """The next power of two."""
    return 1 << max(0, value - 1).bit_length()


def _limits(board: Board) -> dict[str, int]:
    """What a design may take, so that it can be routed."""
    have = board.resources
    share = FAMILIES[board.family].most_luts
    return {
        "lut": int(have.lut * share), "ff": int(have.ff * share), "bram": have.bram,
        "dsp": have.dsp, "spram": have.spram,
    }


def _held(board: Board, needs: Resources, *, memories: bool = True) -> bool:
    limits = _limits(board)
    if not memories:
        limits |= {"bram": 1 << 30, "spram": 1 << 30}
    return all(getattr(needs, name) <= limit for name, limit in limits.items())


def _too_large(board: Board, graph: IntegerGraph) -> str:
    """Tell what is short for the smallest accelerator, and what would do."""
    needs, limits = _smallest(board, graph).needs, _limits(board)
    short = {name: getattr(needs, name) - limit for name, limit in limits.items()}
    name = max(
        (name for name in short if short[name] > 0),
        key=lambda name: getattr(needs, name) / max(limits[name], 1),
    )
    remedies = []
    for width in graph.widths[1:]:
        if _held(board, _smallest(board, at_width(graph, width)).needs):
            remedies.append(f"width {width} alone would do")
            break
    if larger := _larger(board, graph):
        remedies.append(larger)
    return (
        f"{graph.name} needs {getattr(needs, name):,} {NOUNS[name][0]}, {board.name} has "
        f"{limits[name]:,} for it: {short[name]:,} too many; "
        + (", ".join(remedies) or "no board would do")
    )


def _larger(board: Board, graph: IntegerGraph) -> str | None:
    """Name a board that holds what `board` does not."""
    for other in filter(can_fit, reversed(BOARDS)):
        if other.resources.lut > board.resources.lut and _held(
            other, _smallest(other, graph).needs
        ):
            return f"{other.name} would do"
    return None


def _smallest(board: Board, graph: IntegerGraph) -> Candidate:
    """The accelerator that takes the least."""
    return _candidate(board, graph, _sizes(board, graph)[-1])


def at_width(graph: IntegerGraph, width: int) -> IntegerGraph:
    """Leave a network one of its widths."""
    layers = tuple(
        replace(layer, settings={width: layer.settings[width]}) for layer in graph.layers
    )
    scales = {width: graph.logit_scales[width]} if graph.logit_scales else {}
    return replace(graph, layers=layers, logit_scales=scales)
