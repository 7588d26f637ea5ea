"""`downshift export`."""

from pathlib import Path

import click

from downshift.sw.cli.accelerator import accelerator_config
from downshift.sw.cli.console import print_json
from downshift.sw.cli.model_graph import model_graph, widths_file_options
from downshift.sw.cli.options import (
    board_option,
    config_option,
    folder_option,
    json_option,
    tables_option,
)

__all__ = ["export"]


@click.command(epilog="Example: downshift export digits.pt --board ulx3s-85f -o model")
@click.argument("model", type=click.Path(path_type=Path))
@board_option
@tables_option
@config_option
@widths_file_options
@click.option(
    "--format", "form", type=click.Choice(["safetensors", "qdq", "qonnx", "numpy", "c"]),
    default="safetensors", show_default=True,
    help="safetensors: the integer graph, and the image of a board. The others hold the network "
    "at one --width: ONNX for runtimes and for QONNX, packed arrays, a C header.",
)  # fmt: skip
@click.option(
    "--width", type=click.IntRange(1, 8), metavar="BITS",
    help="Of a format that holds one; default: the highest.",
)  # fmt: skip
@folder_option("model")
@json_option
def export(
    model, board, tables, config_path, widths_file, dataset, data, form, width, out, as_json
):
    """Turn MODEL into integers, and compile it for a board.

    MODEL is a checkpoint of `downshift train` or an integer graph (.safetensors). Writes
    model.safetensors, which runs anywhere, and model.img, which the board's own accelerator loads
    (`downshift build` makes one that suits the network, and writes the image for that); or
    with --format one file for other tools: what they compute from it equals golden, to the bit.
    """
    from downshift.sw.atomic_write import atomic_folder
    from downshift.sw.compile.model_files import GRAPH, IMAGE, model_files

    graph = model_graph(model, widths_file=widths_file, dataset=dataset, data=data)
    if form == "safetensors":
        config = accelerator_config(board, tables=tables, graph=graph, path=config_path)
        files = model_files(graph, config)
    else:
        files = _other_files(graph, form, graph.widths[0] if width is None else width)
    with atomic_folder(out) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
    if as_json:
        report = {
            "network": graph.name,
            "widths": graph.widths,
            "macs": graph.macs,
            "weight_bytes": graph.weight_bytes,
            "files": {str(out / name): len(content) for name, content in files.items()},
        }
        if form == "safetensors":
            report |= {
                "image_bytes": len(files[IMAGE]),
                "graph": str(out / GRAPH),
                "image": str(out / IMAGE),
            }
        print_json(report)
        return
    click.echo(
        f"{graph.name}: {graph.macs:,} MACs, {graph.weight_bytes:,} weights, widths "
        f"{', '.join(map(str, graph.widths))}"
    )
    for name in files:
        click.echo(out / name)


def _other_files(graph, form: str, width: int) -> dict[str, bytes]:
    """What other tools read of a network at one width, by file name."""
    if form == "numpy":
        from downshift.sw.exporting.packed import packed_bytes

        return {f"model-w{width}.npz": packed_bytes(graph, width)}
    if form == "c":
        from downshift.sw.exporting.c_header import c_header

        return {f"model-w{width}.h": c_header(graph, width).encode()}
    from downshift.sw.exporting.onnx_export import Dialect, onnx_bytes

    return {f"model-w{width}.{form}.onnx": onnx_bytes(graph, width, Dialect(form))}
