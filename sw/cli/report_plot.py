"""The picture of a report: accuracy, cycles and weight bytes over the width."""

from pathlib import Path
from typing import Any

__all__ = ["plot_report"]


def plot_report(report: dict[str, Any], path: Path) -> None:
    """Draw a report as a PNG.

    Parameters
    ----------
    report : dict
        The content of ``report.json``.
    path : Path
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from downshift.sw.atomic_write import atomic_path

    widths = list(report["widths"])
    entries = [report["widths"][width] for width in widths]
    panels = (
        ("Accuracy, test split (%)", [100 * entry["accuracy"] for entry in entries], "{:.1f}"),
        ("Cycles per image", [entry["cycles_per_image"] for entry in entries], "{:,.0f}"),
        ("Weight bytes at work", [entry["weight_bits_read"] / 8 for entry in entries], "{:,.0f}"),
    )
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axes, (title, values, form) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        bars = axes.bar(widths, values, color="#35618f", width=0.75)
        labels = [form.format(value) for value in values]
        axes.bar_label(bars, labels, padding=-14, fontsize=9, color="white")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("bits")
        axes.margins(y=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    accuracy = figure.axes[0]
    lowest = min(100 * report["fp32_accuracy"], *panels[0][1])
    accuracy.set_ylim(max(0, lowest - 5), 100)
    accuracy.axhline(100 * report["fp32_accuracy"], color="#b0413e", linewidth=1, linestyle="--")
    accuracy.annotate(
        "FP32", (0.99, 100 * report["fp32_accuracy"]), xycoords=("axes fraction", "data"),
        xytext=(0, 3), textcoords="offset points", ha="right", color="#b0413e", fontsize=8,
    )  # fmt: skip
    with atomic_path(path) as temporary:
        canvas.print_png(temporary)
