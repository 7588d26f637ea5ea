"""`downshift policy`."""

from pathlib import Path

import click

from downshift.hw.errors import DownshiftError
from downshift.sw.cli.accelerator import built_config
from downshift.sw.cli.console import print_json, print_table, progress_bars
from downshift.sw.cli.model_graph import model_graph
from downshift.sw.cli.options import (
    PositiveNumber,
    board_option,
    config_option,
    data_option,
    json_option,
    tables_option,
)

__all__ = ["policy"]

AGREEMENT, WINDOW = 0.998, 16
"""Unless told otherwise."""
BATCH = 500
"""Images that golden runs at once, between two steps of the progress bar."""


@click.command(epilog="Example: downshift policy mnist.pt --dataset mnist --agreement 0.999")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--dataset", required=True, metavar="NAME", help="As of `downshift train`.")
@data_option
@click.option(
    "--agreement", type=click.FloatRange(0, 1, min_open=True), metavar="PART",
    help="Labels that are to be those of the highest width, on validation images.  "
    f"[default: {AGREEMENT}; 0<x<=1]",
)  # fmt: skip
@click.option(
    "--budget", type=PositiveNumber(), metavar="CYCLES",
    help="Instead of a cascade: the highest width with which frames keep to so many cycles each, "
    "on average over every --window.",
)  # fmt: skip
@click.option(
    "--window", type=click.IntRange(min=1), metavar="N",
    help=f"Frames in a row that keep to --budget.  [default: {WINDOW}]",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("policy.json"),
    show_default=True, metavar="FILE", help="For `downshift run --policy`.",
)  # fmt: skip
@board_option
@tables_option
@config_option
@json_option
def policy(
    model, dataset, data, agreement, budget, window, out, board, tables, config_path, as_json
):
    """Find the cascade of widths that answers as the highest one does, in the fewest cycles.

    A cascade runs a frame at a low width, and again at a higher one only if its two best logits are
    too close to each other. Widths and margins are chosen on the validation images; accuracy, mean
    cycles and how often each width had the last word are those of the test images, beside always
    the same width. Cycles are those of the accelerator that `downshift build` makes for the model.
    MODEL is a checkpoint of `downshift train` or an integer graph (.safetensors).
    """
    from downshift.sim.cycles import cycles
    from downshift.sw.atomic_write import check_writable, write_atomically
    from downshift.sw.compile.compiler import compile_graph
    from downshift.sw.data.named import load_dataset
    from downshift.sw.policy.calibrate import calibrate
    from downshift.sw.policy.policies import Budget, Cascade, Fixed
    from downshift.sw.policy.policy_file import policy_text
    from downshift.sw.policy.replay import replay

    if budget is None and window is not None:
        raise DownshiftError("--window belongs to --budget; give both")
    if budget is not None and agreement is not None:
        raise DownshiftError("A budget says nothing of labels; give --agreement or --budget")
    check_writable(out)
    graph = model_graph(model, widths_file=None, dataset=None, data=None)
    config = built_config(board, tables=tables, graph=graph, path=config_path)
    image = compile_graph(graph, config)
    costs = {width: cycles(image, width).total for width in graph.widths}
    found = None if budget is None else Budget(costs, mean=budget, window=window or WINDOW)
    images = load_dataset(dataset, folder=data)
    if images.input_shape != graph.input_shape:
        raise DownshiftError(
            f"{model} takes images of shape {graph.input_shape}, {dataset} has {images.input_shape}"
        )
    if images.train.labels.ndim != 1:
        raise DownshiftError(f"{dataset} has no classes; a cascade compares their logits")
    with progress_bars() as bars:
        logits = {
            part: _logits(graph, split, lambda *at, part=part: bars.report(part, *at))
            for part, split in (("validation", images.validation), ("test", images.test))
        }
    title = "budget" if found else "cascade"
    if found is None:
        found = calibrate(logits["validation"], costs, agreement=agreement or AGREEMENT)
    write_atomically(out, policy_text(found))

    named = {f"always {width}": Fixed(width) for width in graph.widths} | {title: found}
    labels, top = images.test.labels.numpy(), graph.widths[0]
    report = {}
    for name, each in named.items():
        run = replay(each, logits["test"], costs)
        report[name] = {
            "accuracy": float((run.labels == labels).mean()),
            "agreement": float((run.labels == logits["test"][top].argmax(1)).mean()),
            "mean_cycles": float(run.cycles.mean()),
            "of_highest": float(run.cycles.mean() / costs[top]),
            "shares": {width: float((run.widths == width).mean()) for width in graph.widths},
        }
    steps = found.steps if isinstance(found, Cascade) else ()
    if as_json:
        print_json(
            {
                "steps": [{"width": width, "margin": least} for width, least in steps],
                "images": {part: len(each[top]) for part, each in logits.items()},
                "policies": report,
            }
        )
        return
    print_table(
        ["Policy", "Accuracy", "Agreement", "Mean cycles", f"Of always {top}",
         *(f"Ends at {width}" for width in graph.widths)],
        [
            [
                name, f"{entry['accuracy']:.2%}", f"{entry['agreement']:.2%}",
                round(entry["mean_cycles"]), f"{entry['of_highest']:.1%}",
                *(f"{entry['shares'][width]:.1%}" for width in graph.widths),
            ]
            for name, entry in report.items()
        ],
        title=f"{graph.name} on {board}, {len(labels):,} test images",
    )  # fmt: skip
    if steps:
        told = [f"{width} bits if two logits are {least} apart" for width, least in steps[:-1]]
        click.echo(f"Cascade: {', else '.join([*told, f'{found.widths[-1]} bits'])}")
    click.echo(out)


def _logits(graph, split, progress) -> dict:
    """What golden has for the images of a part, by width."""
    import numpy as np

    from downshift.sim import golden

    codes = split.codes.permute(0, 2, 3, 1).contiguous().numpy()
    total = len(codes) * len(graph.widths)
    logits = {}
    for number, width in enumerate(graph.widths):
        parts = []
        for start in range(0, len(codes), BATCH):
            progress(number * len(codes) + start, total)
            part = codes[start : start + BATCH]
            parts.append(golden.run(graph, part, width, keep_codes=False).logits)
        logits[width] = np.concatenate(parts)
    progress(total, total)
    return logits
