"""`downshift search`."""

from pathlib import Path

import click

from downshift.sw.cli.console import print_json, print_table, progress_bars
from downshift.sw.cli.options import (
    board_option,
    data_option,
    folder_option,
    json_option,
    tables_option,
)

__all__ = ["search"]


class BudgetType(click.ParamType):
    """A kind of cost and its limit, such as bits=4."""

    name = "budget"

    def convert(self, value, param, ctx):
        """Turn "bits=4" into ("bits", 4.0)."""
        if isinstance(value, tuple):
            return value
        kind, _, limit = value.partition("=")
        if kind not in ("bits", "bytes", "bitops", "cycles"):
            self.fail(f"Budgets are bits, bytes, bitops or cycles, not {kind!r}", param, ctx)
        try:
            number = float(limit)
        except ValueError:
            number = float("nan")
        if not 0 < number < float("inf"):
            self.fail(
                f"A budget needs a positive number, as in {kind}=4, not {value!r}", param, ctx
            )
        return kind, number


@click.command(epilog="Example: downshift search mnist.pt --dataset mnist --budget cycles=20000")
@click.argument("model", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--budget", "budgets", type=BudgetType(), multiple=True, metavar="KIND=N",
    help="At most so many bits (mean of the layers), bytes (of weights), bitops or cycles; may be "
    "given several times. Default: bits=4.",
)  # fmt: skip
@click.option("--dataset", default="digits", show_default=True, metavar="NAME",
              help="What MODEL was trained on.")  # fmt: skip
@data_option
@board_option
@tables_option
@click.option("--best", type=click.IntRange(1, 100), default=3, show_default=True, metavar="N",
              help="Networks to judge on the validation part.")  # fmt: skip
@click.option("--front", type=click.IntRange(2, 50), metavar="N",
              help="Also the front of accuracy over the first budget, at N limits.")  # fmt: skip
@click.option("--probes", type=click.IntRange(2), default=50, show_default=True, metavar="N",
              help="Vectors that the Hessian's traces are estimated from.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Train a supernet first, each layer at widths of its own.")  # fmt: skip
@click.option("--threshold", type=click.Choice(["mean", "top-mean", "quantile"]), default="mean",
              show_default=True,
              help="From which trace on the supernet gives a layer more bits.")  # fmt: skip
@folder_option("build/search")
@json_option
def search(
    model,
    budgets,
    dataset,
    data,
    board,
    tables,
    best,
    front,
    probes,
    epochs,
    threshold,
    out,
    as_json,
):
    """Choose a width for every layer of MODEL, a checkpoint, within budgets.

    Layers are weighed by the trace of the loss's Hessian. Writes widths.json, which `export`,
    `simulate` and `build` take; model.safetensors, where the mixed network runs under a width of
    its own; search.json and search.png; with --epochs also the trained supernet, model.pt.
    """
    from downshift.sw.cli.search_run import run_search

    with progress_bars() as bars:
        report = run_search(
            model,
            dict(budgets) or {"bits": 4.0},
            dataset=dataset,
            data=data,
            board=board,
            tables=tables,
            best=best,
            front=front,
            probes=probes,
            epochs=epochs,
            threshold=threshold,
            out=out,
            bars=bars,
        )
    if as_json:
        print_json(report)
        return
    chosen = report["chosen"]
    print_table(
        ["Layer", "Weights", "Codes", "Trace", "± error", "Squared error"],
        [
            [
                layer["path"], layer["weight_bits"], layer["code_bits"] or "–",
                f"{layer['trace']:.3g}",
                f"{layer['standard_error']:.1g}", f"{layer['squared_error']:.3g}",
            ]
            for layer in report["layers"]
        ],
        title=f"{report['network']}: width {chosen['width']} means",
    )  # fmt: skip
    print_table(
        ["Network", "Mean bits", "Bytes", "BitOps", "Cycles", "Validation", "Test"],
        [
            [
                name, f"{entry['bits']:.2f}", f"{entry['bytes']:,.0f}", f"{entry['bitops']:,.0f}",
                f"{entry['cycles']:,.0f}", f"{entry['validation']:.2%}",
                f"{entry['test']:.2%}" if "test" in entry else "–",
            ]
            for name, entry in report["networks"].items()
        ],
    )  # fmt: skip
    if "front" in report:
        digits = 2 if report["front"]["kind"] == "bits" else 0
        print_table(
            [report["front"]["kind"].capitalize(), "Validation", "Widths"],
            [
                [f"{entry['cost']:,.{digits}f}", f"{entry['validation']:.2%}",
                 " ".join(map(str, entry["widths"].values()))]
                for entry in report["front"]["points"]
            ],
            title=f"Kendall's tau of error and accuracy {report['front']['kendall_tau']:.2f}, "
            f"hypervolume {report['front']['hypervolume']:.4g}",
        )  # fmt: skip
    for path in report["files"].values():
        click.echo(path)
