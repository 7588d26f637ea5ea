"""How often the nets of an accelerator toggle while it computes a frame: `switching`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from downshift.boards.board import Board
from downshift.boards.cell_models import check_cell_models
from downshift.boards.families import FAMILIES
from downshift.boards.families.family import Config
from downshift.boards.netlist import Netlist, mapped_netlist
from downshift.hw.errors import DownshiftError
from downshift.sim.cosimulation import watched
from downshift.sim.runner import TRACED, build_simulation
from downshift.sim.toggles import Toggles
from downshift.sim.traced_frames import ACCELERATOR, count_frames
from downshift.sim.verify import Case, WidthReport
from downshift.sim.verilator import check_tools
from downshift.sw.atomic_write import make_folder
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.graph.integer_graph import IntegerGraph

__all__ = ["DRIVERS", "METHOD", "PORTS", "switching"]

METHOD = (
    "A toggle is a change from 0 to 1 or from 1 to 0 of a net of the mapped netlist, in Verilator, "
    "from the last bit of the request to run to the first bit of the reply; each net counts once. "
    "Without delays there are no glitches, and the insides of memories and multipliers do not "
    "count. Compare widths by it: no joules follow from it."
)
"""What the figures are, for those who read them."""
DRIVERS = ("logic", "registers", "memories", "multipliers", "pins")
"""What drives a net: a kind of cell, or a pin."""
PORTS = ("memories", "multipliers")
"""At whose ports, inputs and outputs, nets are counted again."""

Progress = Callable[[str, float | None, float | None, str], None]


def switching(
    graph: IntegerGraph,
    board: Board,
    config: Config,
    x: np.ndarray,
    out: Path,
    *,
    widths: Sequence[int],
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Count toggles of the mapped netlist while it computes frames at each width.

    Every value that the netlist gives is compared with golden.

    Parameters
    ----------
    graph : IntegerGraph
    board : Board
        Whose cells the accelerator is mapped to.
    config : AcceleratorConfig or TableConfig
    x : uint8 array, shape (n, height, width, channels)
        Input codes; each is a frame at each width.
    out : Path
        Folder for netlist and simulator.
    widths : sequence of int
    progress : callable
        Called with the name of a step, what is done and what there is, None if unknown, and a text.

    Returns
    -------
    dict
        ``method``; ``nets`` of each kind of driver; by width the mean of a frame: its ``cycles``,
        its ``toggles``, all and of the nets of each kind of driver or at ports, and both relative
        to the highest of `widths`.

    Raises
    ------
    DownshiftError
        If the board's cells have no models, the network does not fit or has no such width, a tool
        is missing or fails, or a value differs from golden.
    """
    check_cell_models(board.family)
    check_tools()
    for width in widths:
        graph.check_width(width)
    image = compile_graph(graph, config)
    make_folder(out / "netlist")
    netlist = mapped_netlist(
        board, config, out / "netlist", lambda line: progress("netlist", None, None, line)
    )
    progress("netlist", 1, 1, "")
    progress("compile", None, None, "Verilator compiles the netlist")
    simulation = build_simulation(
        config, out / "simulator", verilog=netlist.verilog, link=TRACED
    )
    progress("compile", 1, 1, "")
    schedule = [(index, width) for width in widths for index in range(len(x))]
    case, counter = Case(graph=graph, image=image, x=x, schedule=schedule), out / "frames"
    with watched(counter, lambda done: progress("simulate", done, len(schedule), "frames")):
        reports, toggles = count_frames(simulation, case, out / "run", progress=counter)
    progress("simulate", len(schedule), len(schedule), "")
    for width, entry in reports.items():
        if entry.mismatches:
            raise DownshiftError(
                f"{entry.mismatches:,} values of {board.name}'s netlist differ from golden at "
                f"{width} bits, so that its toggles tell nothing"
            )
    groups = _groups(netlist, toggles, board)
    chosen = np.array([width for _, width in schedule])
    entries = {
        width: _width(reports[width], toggles.counts[chosen == width], groups) for width in widths
    }
    top = max(widths)
    for entry in entries.values():
        for name in ("cycles", "toggles"):
            entry[f"relative_{name}"] = entry[name] / entries[top][name]
    return {
        "network": graph.name, "board": board.name, "method": METHOD, "frames": len(x),
        "relative_to": top, "cells": dict(netlist.cells),
        "nets": {group: len(groups["driven_by", group]) for group in DRIVERS},
        "widths": {str(width): entry for width, entry in entries.items()},
    }


def _groups(
    netlist: Netlist, toggles: Toggles, board: Board
) -> dict[tuple[str, str], np.ndarray]:
    """Columns of the counts, by what drives nets and by the ports that they are at.

    Nets that always are alike may share a column: each of them counts.
    """
    kind = FAMILIES[board.family].kind
    groups: dict[tuple[str, str], list[int]] = {
        **{("driven_by", group): [] for group in DRIVERS},
        **{("at_ports_of", group): [] for group in PORTS},
    }
    for name, net in netlist.nets.items():
        (column,) = toggles.bits[f"{ACCELERATOR}.{name}"]
        driver = "pins" if net.driver is None else kind(net.driver)
        groups["driven_by", driver].append(column)
        for group in PORTS:
            if group == driver or group in map(kind, net.ends):
                groups["at_ports_of", group].append(column)
    return {key: np.array(columns, np.int64) for key, columns in groups.items()}


def _width(
    report: WidthReport, counts: np.ndarray, groups: dict[tuple[str, str], np.ndarray]
) -> dict[str, Any]:
    """Means of the frames at a width; counts of (frames, columns)."""
    by_frame = {key: counts[:, columns].sum(1) for key, columns in groups.items()}
    totals = sum(by_frame["driven_by", group] for group in DRIVERS)
    entry: dict[str, Any] = {
        "cycles": round(float(np.mean(report.cycles))),
        "toggles": float(np.mean(totals)),
        "toggles_by_frame": np.asarray(totals).tolist(),
        "driven_by": {}, "at_ports_of": {},
        "values_compared": report.logits_compared + report.codes_compared,
    }
    for (key, group), values in by_frame.items():
        entry[key][group] = float(np.mean(values))
    return entry
