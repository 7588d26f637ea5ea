"""`downshift bench`."""

from dataclasses import replace
from pathlib import Path

import click

from downshift.sw.cli.accelerator import built_config
from downshift.sw.cli.bench_tables import show_bench
from downshift.sw.cli.console import print_json, progress_bars
from downshift.sw.cli.options import SeedsType, board_option, json_option, widths_option

__all__ = ["bench"]

TOLERANCE = 0.01
"""Of the cycles predicted, against those simulated."""


@click.command(epilog="Example: downshift bench resnet8 --tables --no-route --widths 8,4,2")
@click.argument("network")
@board_option
@widths_option
@click.option(
    "--seeds", type=SeedsType(), default="1", show_default=True, metavar="LIST",
    help="Of the placer, such as 1,2,3; the median counts.",
)  # fmt: skip
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png",
    help="Draw the roofline of all layers and widths.",
)  # fmt: skip
@click.option(
    "--tables", is_flag=True,
    help="Take the accelerator of the table style at its full size, not one that `build` makes.",
)  # fmt: skip
@click.option("--no-simulate", is_flag=True, help="Only predict cycles.")
@click.option("--no-route", is_flag=True, help="Leave out speed and cells of the hardware.")
@json_option
def bench(network, board, widths, seeds, plot, tables, no_simulate, no_route, as_json):
    """Measure NETWORK on a board: cycles, speed, cells, and what each layer waits for.

    NETWORK is resnet8, dscnn, mobilenetv1, autoencoder or resnet20 with weights that are drawn,
    or an integer graph (.safetensors). The accelerator is the fastest that the board holds. A frame
    at every width runs on it in simulation, where every value is compared with golden; the hardware
    is placed and routed, which takes minutes to an hour. What was simulated or routed before is not
    done again: it is kept in ~/.cache/downshift. What cycles go to is the word of the cycle model;
    its totals are held against simulation.

    Exit status 1 if a value differs, or the cycles predicted are more than 1 % off.
    """
    from downshift.boards import find
    from downshift.sw.atomic_write import check_writable
    from downshift.sw.cli.roofline_plot import check_plot, plot_roofline
    from downshift.sw.result_cache import ResultCache, cache_folder

    chosen = find(board)
    if plot:  # before the work, not after
        check_plot()
        check_writable(plot)
    from downshift.boards.benchmark import benchmark, benchmark_graph

    graph = benchmark_graph(network, widths)
    config = built_config(board, tables=tables, graph=graph, path=None)
    chosen = replace(chosen, config=config)
    with progress_bars() as bars:
        report = benchmark(
            graph,
            chosen,
            seeds=seeds,
            cache=ResultCache(folder=cache_folder()),
            simulated=not no_simulate,
            routed=not no_route,
            progress=bars.report,
        )
    if plot:
        plot_roofline(report, plot)
    if as_json:
        print_json(report)
    else:
        show_bench(report)
        if plot:
            click.echo(f"Roofline: {plot}")
    wrong = any(
        entry["mismatches"] or abs(entry["predicted_cycles"] / entry["cycles"] - 1) > TOLERANCE
        for entry in report["widths"].values()
        if entry["cycles"]
    )
    return 1 if wrong else 0
