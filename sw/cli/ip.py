"""`downshift ip`."""

from pathlib import Path

import click

from downshift.sw.cli.accelerator import accelerator_config
from downshift.sw.cli.console import print_json
from downshift.sw.cli.model_graph import optional_graph, widths_file_options
from downshift.sw.cli.options import config_option, folder_option, json_option, tables_option

__all__ = ["ip"]


@click.command(epilog="Example: downshift ip model.pt --config config.json -o ip")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option(
    "--link", type=click.Choice(["axi", "spi"]), default="axi", show_default=True,
    help="What it is connected by.",
)  # fmt: skip
@tables_option
@config_option
@widths_file_options
@folder_option("ip")
@json_option
def ip(model, link, tables, config_path, widths_file, dataset, data, out, as_json):
    """Write the accelerator as an IP core.

    For a system on chip, AXI4-Lite for control and AXI4-Stream for data: Verilog, its description
    in IP-XACT, which Vivado and other tools read, a C header and documentation of its registers.
    Beside a microcontroller, SPI: Verilog, and a host in C, unless for the large accelerator.

    With MODEL, a checkpoint of `downshift train` or an integer graph (.safetensors), also the image
    for it; for the host in C, as model.h.
    """
    from downshift.boards.ip_core.ip_core import write_ip_core
    from downshift.hw.config import AcceleratorConfig
    from downshift.sw.compile.image import Image
    from downshift.sw.compile.model_files import IMAGE, model_files
    from downshift.sw.exporting.host_model import host_model

    graph = optional_graph(model, widths_file=widths_file, dataset=dataset, data=data)
    config = accelerator_config(None, tables=tables, graph=graph, path=config_path)
    files = {} if graph is None else model_files(graph, config)
    if files and link == "spi" and isinstance(config, AcceleratorConfig):
        image = Image.from_bytes(files[IMAGE])
        files["model.h"] = host_model(image, name=image.network).encode()
    names = write_ip_core(config, out, link=link, files=files)
    if as_json:
        print_json(
            {"files": [str(out / name) for name in names], "fingerprint": config.fingerprint}
        )
        return
    for name in names:
        click.echo(out / name)
