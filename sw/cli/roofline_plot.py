"""The roofline of a benchmark: how near each layer comes to what array and memories can give."""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from math import hypot, log2
from pathlib import Path
from typing import Any

from downshift.hw.errors import DownshiftError

__all__ = ["check_plot", "plot_roofline"]

COLOURS = {
    "busy": ("#1b3a5c", "multipliers busy, 9 cycles of 10"),
    "tile_load": ("#d97b29", "waits most for weights"),
    "fetch": ("#2f9c82", "waits most for activations"),
    "requantize": ("#b0413e", "waits most for results to leave"),
}
"""By what a layer does most besides computing, or "busy" if there is little else."""
BUSY = 0.9
SHARE = 0.02
"""Layers that take less of every frame need not fit the axes."""
COLUMNS = {1: 1, 2: 2, 3: 2, 4: 2}
"""Of panels, by the number of widths; more widths have four."""
NEAR = 0.035
"""Points that are as near share a label; of the side of a panel."""
LETTER, LINE = 0.014, 0.035
"""Width and height of labels; of the side of a panel."""
INK, FAINT = "#444444", "#8a8a8a"


def check_plot() -> None:
    """Raise `DownshiftError` if there is nothing to plot with."""
    if find_spec("matplotlib") is None:
        raise DownshiftError(
            "A plot needs matplotlib, which is not installed: pip install 'downshift[train]'"
        )


def plot_roofline(report: Mapping[str, Any], path: Path) -> None:
    """Draw every layer below the roofs of array and memories, as a PNG with a panel for each width.

    Across: multiply-accumulates for each word that the busier of the two memories is read, the
    activation memory or the weight store. Each gives one word a cycle, so no layer can be above the
    diagonal; none can be above the array's own rate at its width either.

    Parameters
    ----------
    report : mapping
        As `downshift.boards.benchmark.benchmark` gives it.
    path : Path
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from downshift.sw.atomic_write import atomic_path

    widths = report["widths"]
    columns = COLUMNS.get(len(widths), 4)
    rows = -(-len(widths) // columns)
    figure = Figure(figsize=(2.6 + 4.4 * columns, 1.2 + 3.5 * rows), layout="constrained", dpi=150)
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, columns + 1, width_ratios=[*[4.4] * columns, 2.2])
    limits = _limits(widths.values())
    for index, (width, entry) in enumerate(widths.items()):
        axes = figure.add_subplot(grid[index // columns, index % columns])
        _draw_panel(axes, width, entry, limits)
        if index % columns == 0:
            axes.set_ylabel("MACs per cycle", color=INK, fontsize=9)
        if index + columns >= len(widths):
            axes.set_xlabel("MACs per word read from the busier memory", color=INK, fontsize=9)
    _list_layers(figure.add_subplot(grid[:, -1]), widths, limits)
    figure.suptitle(
        f"{report['network']} on {report['board']}", x=0.01, ha="left", fontsize=13, weight="bold"
    )
    with atomic_path(path) as temporary:
        canvas.print_png(temporary)


def _draw_panel(axes, width: str, entry: Mapping[str, Any], limits: tuple[float, ...]) -> None:
    """Roofs, and the layers of one width."""
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import FuncFormatter

    left, right, bottom, top = limits
    roof = _roof(entry)
    axes.fill_between(
        [left, roof, right], [left, roof, roof], top * 2, color="#f3f1ec", linewidth=0, zorder=0
    )
    axes.plot([left, roof, right], [left, roof, roof], color=INK, linewidth=1.5, zorder=2)
    axes.annotate(
        f"array: {roof:,.0f}", (right, roof), xytext=(-5, 4), textcoords="offset points",
        ha="right", color=INK, fontsize=8,
    )  # fmt: skip

    axes.text(
        left * 1.25, left * 1.25, "memories: a word a cycle\n", rotation=45, rotation_mode="anchor",
        transform_rotates_text=True, color=FAINT, fontsize=7.5, va="center",
    )  # fmt: skip

    total = sum(layer["predicted_cycles"] for layer in entry["layers"])
    layers = [
        (number, *_place(layer), layer)
        for number, layer in enumerate(entry["layers"], start=1)
        if layer["macs"] and _inside(_place(layer), limits)
    ]
    for _, x, y, layer in sorted(layers, key=lambda each: -each[3]["predicted_cycles"]):
        axes.scatter(
            x, y, s=14 + 620 * layer["predicted_cycles"] / total,
            marker="o" if layer["activation_words"] >= layer["weight_words"] else "s",
            facecolor=COLOURS[_kind(layer)][0], edgecolor="white", linewidth=0.8, alpha=0.85,
            zorder=3,
        )  # fmt: skip
    for x, y, text in _labels([each[:3] for each in layers], limits):
        axes.text(
            x, y, text, transform=axes.transAxes, va="center", fontsize=7, color=INK, zorder=4,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip

    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#bbbbbb")
    axes.tick_params(length=0, labelsize=8, labelcolor=FAINT)
    axes.set_title(
        f"{width} bits: {entry['macs_per_cycle']:,.0f} MACs per cycle, "
        f"{entry['inferences_per_s']:,.0f} inferences/s",
        loc="left", fontsize=9.5, color=INK,
    )  # fmt: skip


def _place(layer: Mapping[str, Any]) -> tuple[float, float]:
    """Where a layer stands: MACs per word of the busier memory, and per cycle."""
    words = max(layer["activation_words"], layer["weight_words"])
    return layer["macs"] / words, layer["macs"] / layer["predicted_cycles"]


def _roof(entry: Mapping[str, Any]) -> float:
    return max(layer["peak_macs_per_cycle"] for layer in entry["layers"])


def _kind(layer: Mapping[str, Any]) -> str:
    """What a layer does most besides computing."""
    if layer["busy"] >= BUSY * layer["predicted_cycles"]:
        return "busy"
    return max(("tile_load", "fetch", "requantize"), key=lambda name: layer[name])


def _limits(entries: Iterable[Mapping[str, Any]]) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of all panels, from the layers that matter."""
    places, roofs = [], []
    for entry in entries:
        roofs.append(_roof(entry))
        total = sum(layer["predicted_cycles"] for layer in entry["layers"])
        places += [
            _place(layer)
            for layer in entry["layers"]
            if layer["macs"] and layer["predicted_cycles"] >= SHARE * total
        ]
    return (
        min(x for x, _ in places) / 1.7,
        1.7 * max(*roofs, *(x for x, _ in places)),
        min(y for _, y in places) / 2.2,
        2.2 * max(roofs),
    )


def _inside(place: tuple[float, float], limits: tuple[float, ...]) -> bool:
    left, right, bottom, top = limits
    return left <= place[0] <= right and bottom <= place[1] <= top


def _labels(layers, limits: tuple[float, ...]) -> list[tuple[float, float, str]]:
    """Texts with the numbers of layers, and their places, from 0 to 1 in the panel.

    Layers that are near share a text to their right; texts that would overlap move down.
    """
    left, right, bottom, top = limits
    groups: list[list[tuple[int, float, float]]] = []
    for number, x, y in layers:
        here = log2(x / left) / log2(right / left), log2(y / bottom) / log2(top / bottom)
        for group in groups:
            if any(hypot(here[0] - a, here[1] - b) < NEAR for _, a, b in group):
                group.append((number, *here))
                break
        else:
            groups.append([(number, *here)])
    placed: list[tuple[float, float, str]] = []
    for group in sorted(groups, key=lambda group: -max(y for _, _, y in group)):
        text = ", ".join(str(number) for number, _, _ in group)
        x = max(x for _, x, _ in group) + 0.03
        y = sum(y for _, _, y in group) / len(group)
        for other, level, words in placed:
            if x < other + LETTER * len(words) and other < x + LETTER * len(text):
                y = min(y, level - LINE)
        placed.append((x, y, text))
    return placed


def _list_layers(axes, widths: Mapping[str, Any], limits: tuple[float, ...]) -> None:
    """Name the layers by number, and say what shapes and colours mean."""
    from matplotlib.lines import Line2D

    layers = [entry["layers"] for entry in widths.values()]
    axes.axis("off")
    lines, outside = [], False
    for number, of_layer in enumerate(zip(*layers, strict=True), start=1):
        shown = any(layer["macs"] and _inside(_place(layer), limits) for layer in of_layer)
        outside |= not shown
        lines.append(f"{number:>2}  {of_layer[0]['name']}{'' if shown else ' *'}")
    if outside:
        lines.append(" *  outside: hardly any cycles")
    axes.text(
        0, 1, "\n".join(lines), va="top", fontsize=min(7.5, 260 / len(lines)), color=INK,
        linespacing=1.5, transform=axes.transAxes, family="monospace",
    )  # fmt: skip
    kinds = [("o", colour, label) for colour, label in COLOURS.values()]
    kinds += [("o", FAINT, "reads activations more"), ("s", FAINT, "reads weights more")]
    axes.legend(
        handles=[
            Line2D([], [], linestyle="", marker=marker, color=colour, markersize=6, label=label)
            for marker, colour, label in kinds
        ],
        title="A layer; area: its share of the cycles", loc="lower left",
        bbox_to_anchor=(-0.05, 0), frameon=False, fontsize=7.5, title_fontsize=7.5,
        alignment="left", labelcolor=INK,
    )  # fmt: skip
