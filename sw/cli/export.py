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
    from downshift.sw.atomic_write import atomic_path
    from downshift.sw.compile.compiler import compile_graph
    from downshift.sw.graph.graph_file import save_graph

    config = TableConfig() if tables else find(board).config
    graph = model_graph(model, widths_file=widths_file, dataset=dataset, data=data)
    content = compile_graph(graph, config).to_bytes()
    files = {"graph": out / "model.safetensors", "image": out / "model.img"}
    with atomic_path(files["graph"]) as graph_path, atomic_path(files["image"]) as image_path:
        save_graph(graph, graph_path)
        image_path.write_bytes(content)
    if as_json:
        print_json(
            {
                "network": graph.name,
                "widths": graph.widths,
                "macs": graph.macs,
                "weight_bytes": graph.weight_bytes,
                "image_bytes": len(content),
                **{name: str(path) for name, path in files.items()},
            }
        )
        return
    click.echo(
        f"{graph.name}: {graph.macs:,} MACs, {graph.weight_bytes:,} weights, widths "
        f"{', '.join(map(str, graph.widths))}"
    )
    for path in files.values():
        click.echo(path)
