"""`downshift export`."""

from pathlib import Path

import click

from downshift.sw.cli.console import print_json
from downshift.sw.cli.model_graph import model_graph, widths_file_options
from downshift.sw.cli.options import board_option, folder_option, json_option, tables_option

__all__ = ["export"]


@click.command(epilog="Example: downshift export digits.pt --board ulx3s-85f -o model")
@click.argument("model", type=click.Path(path_type=Path))
@board_option
@tables_option
@widths_file_options
@folder_option("model")
@json_option
def export(model, board, tables, widths_file, dataset, data, out, as_json):
    """Turn MODEL into integers, and compile it for a board.

    MODEL is a checkpoint of `downshift train` or an integer graph (.safetensors). Writes
    model.safetensors, which runs anywhere, and model.img, which the board's accelerator loads.
    """
    from downshift.boards import find
    from downshift.hw.table_config import TableConfig
    from downshift.sw.atomic_write import atomic_folder
    from downshift.sw.compile.model_files import GRAPH, IMAGE, model_files

    config = TableConfig() if tables else find(board).config
    graph = model_graph(model, widths_file=widths_file, dataset=dataset, data=data)
    files = model_files(graph, config)
    with atomic_folder(out) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
    if as_json:
        print_json(
            {
                "network": graph.name,
                "widths": graph.widths,
                "macs": graph.macs,
                "weight_bytes": graph.weight_bytes,
                "image_bytes": len(files[IMAGE]),
                "graph": str(out / GRAPH),
                "image": str(out / IMAGE),
            }
        )
        return
    click.echo(
        f"{graph.name}: {graph.macs:,} MACs, {graph.weight_bytes:,} weights, widths "
        f"{', '.join(map(str, graph.widths))}"
    )
    for name in files:
        click.echo(out / name)
