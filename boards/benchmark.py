"""Everything that can be measured of a network on a board: `benchmark`."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from downshift.boards.board import Board
from downshift.boards.routing import Routing, route
from downshift.boards.tools import check_tools
from downshift.hw.errors import DownshiftError
from downshift.sim.cosimulation import Progress
from downshift.sim.cycles import cycles
from downshift.sim.frame_profile import LayerProfile, frame_profile, products_per_cycle
from downshift.sim.measure import MeasuredFrame, measure
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.compile.image import STYLE_NAMES, Image
from downshift.sw.device.frame_result import FrameCounters
from downshift.sw.graph.graph_file import load_graph
from downshift.sw.graph.integer_graph import IntegerGraph
from downshift.sw.graph.reference_networks import reference_network
from downshift.sw.result_cache import ResultCache

__all__ = ["WIDTHS", "benchmark", "benchmark_graph", "images_for"]

WIDTHS = (8, 6, 4, 2)
"""Of a reference network, unless others are asked for."""
ARRAY = "array"
"""Part that holds the multipliers."""
BITS = 10
"""Of a byte on the serial link."""
USES = ("busy", "tile_load", "fetch", "requantize")
"""What cycles go to."""


def benchmark_graph(network: str, widths: Sequence[int] | None) -> IntegerGraph:
    """Find a network.

    Parameters
    ----------
    network : str
        A name in `REFERENCE_NETWORKS`, or a ``.safetensors`` file.
    widths : sequence of int, optional
        `WIDTHS` by default, or those of the file.

    Raises
    ------
    DownshiftError
        If there is no such network or file, or it lacks a width.
    """
    if not network.endswith(".safetensors"):
        return reference_network(network, widths=widths or WIDTHS)
    graph = load_graph(Path(network))
    if widths is None:
        return graph
    for width in widths:
        graph.check_width(width)
    return _at_widths(graph, widths)


def images_for(graph: IntegerGraph, board: Board) -> tuple[dict[int, Image], str]:
    """Compile a network for a board: at all widths at once if they fit, else each by itself.

    Parameters
    ----------
    graph : IntegerGraph
    board : Board

    Returns
    -------
    images : dict of int to Image
        By width, highest first; the same one for all if they fit.
    note : str
        Why not; empty if they do.

    Raises
    ------
    DownshiftError
        If a width does not fit by itself.
    """
    try:
        image = compile_graph(graph, board.config)
    except DownshiftError as error:
        why = error
    else:
        return dict.fromkeys(graph.widths, image), ""
    images = {}
    for width in graph.widths:
        try:
            images[width] = compile_graph(_at_widths(graph, [width]), board.config)
        except DownshiftError as error:
            raise DownshiftError(
                f"{graph.name} does not fit {board.name} at width {width}: {error}"
            ) from error
    return images, f"One image for each width, since they do not fit together: {why}"


def benchmark(
    graph: IntegerGraph,
    board: Board,
    *,
    seeds: Sequence[int],
    cache: ResultCache,
    simulated: bool = True,
    routed: bool = True,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Simulate a network on a board's accelerator, route it, and bring all figures together.

    Parameters
    ----------
    graph : IntegerGraph
    board : Board
        With the accelerator and the clock to route for.
    seeds : sequence of int
        Of place and route; the figures are those of the median.
    cache : ResultCache
    simulated, routed : bool
        Without one of the two, its figures are None, and rates are those of the board's clock.
    progress : callable

    Returns
    -------
    dict
        As ``downshift bench --json`` prints it.

    Raises
    ------
    DownshiftError
        If the network does not fit, a tool is missing or fails, or the design does not fit.
    """
    images, note = images_for(graph, board)
    if routed:
        check_tools(board)  # before minutes of simulation, not after
    frames: Mapping[int, MeasuredFrame | None] = dict.fromkeys(images)
    if simulated:
        with _work_folder() as folder:
            frames = measure(graph, images, folder, cache, progress)
    figures = _unrouted()
    if routed:
        routing = route(
            board, board.config, seeds=seeds, cache=cache,
            progress=lambda text: progress("route", None, None, text),
        )
        progress("route", 1, 1, "")
        figures = _routed(routing, board)
    clock = board.clock_hz / 1e6
    hz = 1e6 * (figures["fmax_mhz"] or clock)
    return {
        "network": graph.name,
        "board": board.name,
        "style": STYLE_NAMES[type(board.config)],
        "config": asdict(board.config),
        "macs": graph.macs,
        "weight_bytes": graph.weight_bytes,
        "image_bytes": [len(image.to_bytes()) for image in dict.fromkeys(images.values())],
        "note": note,
        "clock_mhz": clock,
        **figures,
        "activation_bytes": board.config.activation_bytes,
        "widths": {
            str(width): _width(graph, board, image, width, frames[width], hz)
            for width, image in images.items()
        },
    }


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Give a temporary folder, which stays only where an error names a log in it."""
    folder = Path(tempfile.mkdtemp(prefix="downshift-"))
    try:
        yield folder
    except BaseException as error:
        if str(folder) not in str(error):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _at_widths(graph: IntegerGraph, widths: Sequence[int]) -> IntegerGraph:
    """The same network, at some of its widths."""
    layers = tuple(
        replace(layer, settings={width: layer.settings[width] for width in widths})
        for layer in graph.layers
    )
    return replace(graph, layers=layers)


def _width(
    graph: IntegerGraph, board: Board, image: Image, width: int,
    frame: MeasuredFrame | None, hz: float,
) -> dict[str, Any]:
    """All figures of one width."""
    profile = frame_profile(graph, image, width)
    predicted = cycles(image, width).total
    total = frame.counters.cycles if frame else None
    link = None
    if frame:
        moved = frame.bytes_sent + frame.bytes_received
        link = {
            "bytes_sent": frame.bytes_sent,
            "bytes_received": frame.bytes_received,
            "cycles": moved * BITS * board.divisor,
            "inferences_per_s": 1 / (total / hz + moved * BITS / board.baud),
        }
    spent = {name: sum(getattr(layer.spent, name) for layer in profile) for name in USES}
    return {
        "cycles": total,
        "predicted_cycles": predicted,
        "busy": spent["busy"] / predicted,
        "waits": {name: spent[name] for name in USES[1:]},
        "counted": frame and _counted(frame.counters),
        "link": link,
        "inferences_per_s": hz / (total or predicted),
        "macs_per_cycle": graph.macs / (total or predicted),
        "mismatches": frame and frame.mismatches + sum(
            layer.mismatches for layer in frame.layers.values()
        ),
        "compared": frame and frame.compared + sum(
            layer.compared for layer in frame.layers.values()
        ),
        "memory": [
            {
                "map": entry.name, "shape": list(entry.shape), "bits": entry.width,
                "first_byte": entry.base, "bytes": entry.size,
            }
            for entry in image.maps[width]
        ],
        "layers": [_layer(layer, frame) for layer in profile],
    }


def _layer(profile: LayerProfile, frame: MeasuredFrame | None) -> dict[str, Any]:
    """All figures of one layer."""
    measured = frame and frame.layers[profile.name]
    return {
        "name": profile.name,
        "macs": profile.macs,
        "predicted_cycles": profile.cycles,
        "predicted_cycles_alone": profile.cycles_alone,
        "cycles_alone": measured and measured.counters.cycles,
        "counted_alone": measured and _counted(measured.counters),
        **asdict(profile.spent),
        "peak_macs_per_cycle": profile.peak,
        "activation_words": profile.activation_words,
        "weight_words": measured.counters.weight_words if measured else profile.weight_words,
        "compared": measured and measured.compared,
        "mismatches": measured and measured.mismatches,
    }


def _counted(counters: FrameCounters) -> dict[str, int]:
    """What the cycles went to, as the accelerator counted it."""
    return {name: getattr(counters, name) for name in USES}


def _unrouted() -> dict[str, Any]:
    names = ("fmax_mhz", "seeds", "lut", "ff", "bram", "dsp", "available", "parts", "array")
    return dict.fromkeys(names)


def _routed(routing: Routing, board: Board) -> dict[str, Any]:
    """Figures of the hardware, the same for every network and width."""
    report = asdict(routing.median)
    mapped = sum(counts["lut"] for counts in routing.parts.values())
    array = routing.parts.get(ARRAY, {"lut": 0})["lut"]
    products = products_per_cycle(board.config)
    return {
        "fmax_mhz": report["fmax_mhz"],
        "seeds": {str(each.seed): each.fmax_mhz for each in routing.reports},
        **{name: report[name] for name in ("lut", "ff", "bram", "dsp")},
        "available": {name: report[f"{name}_available"] for name in ("lut", "ff", "bram", "dsp")},
        "parts": {part: dict(counts) for part, counts in routing.parts.items()},
        "array": {
            "products_per_cycle": products,
            "lut_per_product": array / products,
            "lut_share": array / mapped,
            "other_lut_share": (mapped - array) / mapped,
        },
    }
