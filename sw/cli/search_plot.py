"""The picture of a search: bits of each layer over its trace, and the front."""

import io
from pathlib import Path
from typing import Any

from downshift.sw.atomic_write import write_atomically

__all__ = ["plot_search"]


def plot_search(report: dict[str, Any], path: Path) -> None:
    """Draw the report of `run_search`."""
    from matplotlib.figure import Figure

    front = report.get("front")
    figure = Figure(figsize=(11 if front else 6.5, 4.2), layout="constrained")
    axes = figure.subplots(1, 2 if front else 1, squeeze=False)[0]
    layers = report["layers"]
    places = range(len(layers))
    axes[0].bar(places, [layer["weight_bits"] for layer in layers], color="#4477aa")
    axes[0].set_xticks(places, [layer["path"] for layer in layers], rotation=90, fontsize=7)
    axes[0].set_ylabel("bits of the weights", color="#4477aa")
    traces = axes[0].twinx()
    traces.errorbar(
        places,
        [max(layer["trace"], 1e-12) for layer in layers],
        yerr=[layer["standard_error"] for layer in layers],
        fmt="o",
        markersize=3,
        color="#cc6677",
    )
    traces.set_yscale("log")
    traces.set_ylabel("mean diagonal entry of the Hessian", color="#cc6677")
    axes[0].set_title(f"{report['network']}, width {report['chosen']['width']}", fontsize=10)
    if front:
        points = front["points"]
        axes[1].plot(
            [point["cost"] for point in points],
            [100 * point["validation"] for point in points],
            "o-",
            color="#4477aa",
            label="mixed",
        )
        uniform = [entry for name, entry in report["networks"].items() if name.startswith("width ")]
        axes[1].plot(
            [entry[front["kind"]] for entry in uniform],
            [100 * entry["validation"] for entry in uniform],
            "s",
            color="#ddaa33",
            label="one width",
        )
        axes[1].set_xlabel(front["kind"])
        axes[1].set_ylabel("validation accuracy, %")
        axes[1].legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_atomically(path, content.getvalue())
