"""What `downshift search` does, step by step."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from downshift.sw.cli.accelerator import accelerator_config
from downshift.sw.cli.console import Bars

__all__ = ["run_search"]


def run_search(
    model_path: Path,
    limits: dict[str, float],
    *,
    dataset: str,
    data: Path | None,
    board: str,
    tables: bool,
    best: int,
    front: int | None,
    probes: int,
    epochs: int,
    threshold: str,
    out: Path,
    bars: Bars,
) -> dict[str, Any]:
    """Search, and write what is found into `out`.

    Parameters are those of the command; `limits` by kind of budget.

    Returns
    -------
    dict
        The content of ``search.json``.
    """
    from downshift.sw.atomic_write import make_folder
    from downshift.sw.search.allocation import Budget, check_budgets
    from downshift.sw.search.candidates import candidate_graph
    from downshift.sw.search.choices import expanded
    from downshift.sw.search.compiled import compiled_allocations
    from downshift.sw.search.layer_costs import layer_costs
    from downshift.sw.search.mixed import free_width, judged, measured, uniform
    from downshift.sw.search.traces import layer_traces
    from downshift.sw.training.batches import as_learned
    from downshift.sw.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(model_path)
    cycles = _cycles(board, tables=tables)
    images = _images(dataset, data, checkpoint, model_path, bars)
    budgets = {Budget(kind): limit for kind, limit in limits.items()}
    widths = checkpoint.config.widths
    model = checkpoint.model
    bars.report("costs", None, None, "compiling")
    costs = layer_costs(model, widths, input_shape=images.input_shape, cycles=cycles)
    # Whether anything fits is found out before the work, not after.
    if Budget.CYCLES in budgets:
        shape = images.input_shape
        compiled_allocations(model, costs, {}, budgets, input_shape=shape, cycles=cycles)
    else:
        check_budgets(costs, budgets)
    make_folder(out)
    bars.finish("costs")

    bars.report("traces", None, None, f"{probes} probes")
    traces = layer_traces(checkpoint.float_model, images, probes=probes)
    sensitivities = {path: trace.sensitivity for path, trace in traces.items()}
    bars.finish("traces")
    files = {}
    if epochs:
        files["checkpoint"] = out / "model.pt"
        _train_supernet(
            checkpoint, images, sensitivities, threshold, budgets, epochs, files["checkpoint"], bars
        )
        costs = layer_costs(model, widths, input_shape=images.input_shape, cycles=cycles)

    bars.report("search", None, None, "solving and judging")
    images = as_learned(images, checkpoint.config)
    found = judged(model, costs, sensitivities, budgets, images, n=best, cycles=cycles)
    number = free_width(widths, found[0].costs[Budget.BITS])
    assignments = {**{width: width for width in widths}, number: found[0].widths}
    graph = candidate_graph(model, assignments, images, name=model_path.stem)
    networks = {f"mixed, width {number}": found[0]}
    for width in widths:
        networks[f"width {width}"] = measured(
            model, costs, uniform(costs, width), images, error=0.0, cycles=cycles
        )
    entries = {name: _entry(candidate) for name, candidate in networks.items()}
    # The test part is read here, for what has been chosen, and nowhere else.
    for name, width in zip(entries, (number, *widths), strict=True):
        entries[name]["test"] = _integer_accuracy(graph, images.test, width)
    report = {
        "network": model_path.stem,
        "budgets": limits,
        "chosen": {"width": number, "widths": dict(found[0].widths), "status": found[0].status},
        "layers": [
            _layer(graph, number, traces[path], cost, found[0].widths)
            for path, cost in costs.items()
            if path in traces
        ],
        "networks": entries,
        "judged": [_entry(candidate) | {"widths": candidate.widths} for candidate in found],
    }
    if front:
        report["front"] = _front(
            model, costs, sensitivities, next(iter(budgets)), images, cycles, front, bars,
            ends=[networks[f"width {width}"] for width in (widths[-1], widths[0])],
        )  # fmt: skip
    bars.finish("search")
    meant = assignments | {number: expanded(model, found[0].widths)}
    _write(out, report, files, meant, graph)
    return report


def _images(dataset: str, data: Path | None, checkpoint, model_path: Path, bars: Bars):
    """Images that the network was made for, as far as their shape says."""
    from downshift.hw.errors import DownshiftError
    from downshift.sw.data.named import load_dataset
    from downshift.sw.training.run import learned_images

    images = load_dataset(
        dataset, folder=data, progress=lambda name, done, total: bars.report(name, done, total)
    )
    images = learned_images(images, checkpoint.config)
    if (images.input_shape, images.classes) != (checkpoint.input_shape, checkpoint.classes):
        raise DownshiftError(
            f"{model_path} takes images of shape {checkpoint.input_shape} in "
            f"{checkpoint.classes} classes, {dataset} holds {images.input_shape} in "
            f"{images.classes}; name the data set it was trained on"
        )
    return images


def _cycles(board: str, *, tables: bool) -> Callable:
    """Cycles by layer of a graph at a width, on a board's accelerator."""
    from downshift.sim.frame_profile import frame_profile
    from downshift.sw.compile.compiler import compile_graph, suited

    config = accelerator_config(board, tables=tables)

    def cycles(graph, width):
        image = compile_graph(graph, suited(config, graph))
        return {profile.name: profile.cycles for profile in frame_profile(graph, image, width)}

    return cycles


def _train_supernet(
    checkpoint, images, sensitivities, threshold, budgets, epochs, path, bars
) -> None:
    """Train in place, and keep the result."""
    from downshift.sw.search.allocation import Budget
    from downshift.sw.search.sensitivity import Threshold
    from downshift.sw.search.supernet import SupernetPhase
    from downshift.sw.training.checkpoint import save_checkpoint
    from downshift.sw.training.run import Training

    config = replace(checkpoint.config, quantized_epochs=epochs)
    phase = SupernetPhase(
        checkpoint.model,
        images,
        config,
        sensitivities=sensitivities,
        threshold=Threshold(threshold),
        average_bits=budgets.get(Budget.BITS),
    )
    for epoch in range(epochs):
        row = phase.epoch(epoch)
        text = ", ".join(f"{w} bit {row[f'accuracy_{w}']:.1%}" for w in config.widths)
        bars.report("supernet", epoch + 1, epochs, text)
    phase.finish()
    training = Training(
        model=checkpoint.model,
        float_model=checkpoint.float_model,
        config=config,
        input_shape=checkpoint.input_shape,
        input_scale=checkpoint.input_scale,
        classes=checkpoint.classes,
        rows=[],
        float_accuracy=checkpoint.float_accuracy,
        interrupted=False,
        named=True,
    )
    save_checkpoint(path, training)


def _front(
    model, costs, sensitivities, budget, images, cycles, points, bars, *, ends
) -> dict[str, Any]:
    """Best networks over a budget, and how well the error foretells the accuracy."""
    from downshift.sw.search.front import hypervolume, pareto_front, rank_correlation
    from downshift.sw.search.mixed import front_budgets, judged

    limits = front_budgets(*(candidate.costs[budget] for candidate in ends), points=points)
    found = []
    for done, limit in enumerate(limits, start=1):
        found += judged(model, costs, sensitivities, {budget: limit}, images, cycles=cycles)
        bars.report("front", done, len(limits))
    pairs = [(candidate.costs[budget], candidate.accuracy) for candidate in found]
    front = set(pareto_front(pairs))
    return {
        "kind": str(budget),
        "points": [
            {
                "cost": cost,
                "validation": share,
                "error": candidate.error,
                "dominated": (cost, share) not in front,
                "widths": dict(candidate.widths),
            }
            for (cost, share), candidate in zip(pairs, found, strict=True)
        ],
        "kendall_tau": rank_correlation(
            [candidate.error for candidate in found], [share for _, share in pairs]
        ),
        "hypervolume": hypervolume(pairs, most=limits[-1]),
    }


def _write(out: Path, report: dict[str, Any], files: dict[str, Path], assignments, graph) -> None:
    """Write everything but the checkpoint, and add to the report where it lies."""
    from downshift.sw.atomic_write import write_atomically
    from downshift.sw.cli.search_plot import plot_search
    from downshift.sw.graph.graph_file import save_graph
    from downshift.sw.search.widths_file import save_widths

    files |= {
        "widths": out / "widths.json",
        "graph": out / "model.safetensors",
        "plot": out / "search.png",
        "report": out / "search.json",
    }
    report["files"] = {name: str(path) for name, path in files.items()}
    save_widths(files["widths"], assignments)
    save_graph(graph, files["graph"])
    plot_search(report, files["plot"])
    write_atomically(files["report"], json.dumps(report, indent=2) + "\n")


def _entry(candidate) -> dict[str, Any]:
    spent = {str(budget): cost for budget, cost in candidate.costs.items()}
    return spent | {"validation": candidate.accuracy}


def _layer(graph, width: int, trace, cost, widths) -> dict[str, Any]:
    """Bits of a layer's weights and of the codes that leave it, None for logits, and why."""
    setting = next(layer for layer in graph.layers if layer.name == cost.path).settings[width]
    return {
        "path": cost.path,
        "weight_bits": setting.weight_width,
        "code_bits": setting.out_width if setting.out_width <= 8 else None,
        "trace": trace.value,
        "standard_error": trace.standard_error,
        "squared_error": cost.errors[cost.own(widths)],
    }


def _integer_accuracy(graph, split, width: int) -> float:
    from downshift.sw.quantization.freeze import Frozen

    return Frozen(graph).accuracy(split.codes, split.labels, width)
