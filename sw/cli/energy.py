"""`downshift energy`."""

from pathlib import Path

import click

from downshift.sw.cli.accelerator import built_config
from downshift.sw.cli.console import print_json, print_table, progress_bars
from downshift.sw.cli.model_graph import model_graph
from downshift.sw.cli.options import (
    board_option,
    config_option,
    folder_option,
    json_option,
    widths_option,
)

__all__ = ["energy"]


@click.command(
    epilog="Example: downshift energy digits.pt --board icebreaker --input x.npy --widths 8,4,2"
)
@click.argument("model", type=click.Path(path_type=Path))
@board_option
@config_option
@click.option(
    "--input", "input_path", type=click.Path(path_type=Path), metavar="FILE.npy",
    help="Input codes, uint8 of (n, height, width, channels). Default: random ones.",
)  # fmt: skip
@click.option(
    "--frames", type=click.IntRange(min=1), default=2, show_default=True, metavar="N",
    help="Frames at each width.",
)  # fmt: skip
@widths_option
@folder_option("build/energy")
@json_option
def energy(model, board, config_path, input_path, frames, widths, out, as_json):
    """Count how often the nets of MODEL's accelerator toggle, at each width.

    It stands for the dynamic energy of an inference, relative to that at 8 bits; it has no unit of
    energy. The accelerator is the one that `downshift build` makes for MODEL, as the netlist of the
    board's cells. Frames run on it in simulation, and every value is compared with golden; exit
    status 1 if any differs. MODEL is a checkpoint of `downshift train` or an integer graph
    (.safetensors).
    """
    from downshift.boards import find
    from downshift.boards.cell_models import check_cell_models
    from downshift.boards.switching import switching
    from downshift.sw.data.codes import load_codes

    check_cell_models(find(board).family)
    graph = model_graph(model, widths_file=None, dataset=None, data=None)
    for width in widths or ():
        graph.check_width(width)
    config = built_config(board, tables=False, graph=graph, path=config_path)
    x = load_codes(input_path, frames, shape=graph.input_shape, bits=graph.input_bits)
    with progress_bars() as bars:
        report = switching(
            graph,
            find(board),
            config,
            x,
            out,
            widths=widths or graph.widths,
            progress=bars.report,
        )
    if as_json:
        print_json(report)
    else:
        _show(report)


def _show(report) -> None:
    """Show a report to people."""
    of = f"of {report['relative_to']} bits"
    drivers, ports = report["nets"], next(iter(report["widths"].values()))["at_ports_of"]
    print_table(
        ["Bits", "Cycles", of, "Toggles", of, *(group.capitalize() for group in drivers),
         *(f"At {group}" for group in ports)],
        [
            [
                width, entry["cycles"], f"{entry['relative_cycles']:.1%}",
                round(entry["toggles"]),
                f"{entry['relative_toggles']:.1%}", *map(round, entry["driven_by"].values()),
                *entry["at_ports_of"].values(),
            ]
            for width, entry in report["widths"].items()
        ],
        title=f"{report['network']} on {report['board']}: an inference, mean of "
        f"{report['frames']} at each width, {sum(report['nets'].values()):,} nets",
    )  # fmt: skip
    click.echo(report["method"])
