"""`downshift simulate`."""

from pathlib import Path

import click

from downshift.sw.cli.accelerator import accelerator_config
from downshift.sw.cli.console import print_json, print_table, progress_bars
from downshift.sw.cli.model_graph import model_graph, widths_file_options
from downshift.sw.cli.options import (
    board_option,
    config_option,
    folder_option,
    json_option,
    tables_option,
    widths_option,
)

__all__ = ["simulate"]


@click.command(
    epilog="Example: downshift simulate model/model.safetensors --input images.npy --widths 8,2"
)
@click.argument("model", type=click.Path(path_type=Path))
@board_option
@tables_option
@config_option
@click.option(
    "--input", "input_path", type=click.Path(path_type=Path), metavar="FILE.npy",
    help="Input codes, uint8 of (n, height, width, channels). Default: random ones.",
)  # fmt: skip
@click.option(
    "--images", type=click.IntRange(min=1), default=8, show_default=True, metavar="N",
    help="Images at each width.",
)  # fmt: skip
@click.option(
    "--link", type=click.Choice(["uart", "spi", "axi"]), default="uart", show_default=True,
    help="How the host reaches the accelerator; axi is that of `downshift ip`.",
)  # fmt: skip
@widths_option
@widths_file_options
@folder_option("build/simulate")
@json_option
def simulate(
    model,
    board,
    tables,
    config_path,
    input_path,
    images,
    link,
    widths,
    widths_file,
    dataset,
    data,
    out,
    as_json,
):
    """Run MODEL on a board's accelerator in simulation, and compare with golden.

    MODEL is a checkpoint of `downshift train` or an integer graph (.safetensors).

    Every logit and every intermediate code is read over the simulated link. Exit status 1 if
    any differs.
    """
    from downshift.sim.cosimulation import cosimulate
    from downshift.sim.runner import LINKS
    from downshift.sw.data.codes import load_codes

    graph = model_graph(model, widths_file=widths_file, dataset=dataset, data=data)
    config = accelerator_config(board, tables=tables, graph=graph, path=config_path)
    x = load_codes(input_path, images, shape=graph.input_shape, bits=graph.input_bits)
    for width in widths or ():
        graph.check_width(width)
    with progress_bars() as bars:
        reports = cosimulate(
            graph, config, x, out, widths=widths or graph.widths, progress=bars.report,
            link=LINKS[link],
        )  # fmt: skip
    mismatches = sum(report["mismatches"] for report in reports.values())
    if as_json:
        print_json({"board": board, "widths": reports})
    else:
        print_table(
            ["Bits", "Images", "Logits", "Codes", "Mismatches", "Cycles/image", "Predicted"],
            [
                [
                    width, entry["images_simulated"], entry["logits_compared"],
                    entry["codes_compared"], entry["mismatches"], entry["cycles_per_image"],
                    entry["cycles_predicted"],
                ]
                for width, entry in reports.items()
            ],
            title=f"{graph.name} on {board}",
        )  # fmt: skip
    return 1 if mismatches else 0
