"""`downshift generate`."""

import click

from downshift.sw.cli.console import print_json
from downshift.sw.cli.options import board_option, folder_option, json_option

__all__ = ["generate"]


@click.command(epilog="Example: downshift generate --board icebreaker -o hdl")
@board_option
@folder_option("hdl")
@json_option
def generate(board, out, as_json):
    """Write the Verilog of a board's accelerator, its constraints and a build script."""
    from downshift.boards import find
    from downshift.boards.generate import generate as generate_sources

    chosen = find(board)
    verilog = generate_sources(chosen, chosen.config, out)
    if as_json:
        print_json({"board": board, "verilog": str(verilog), "script": str(out / "build.sh")})
        return
    click.echo(f"{verilog}: {len(verilog.read_text().splitlines()):,} lines")
    click.echo(f"{out / 'build.sh'}: builds the bitstream by hand")
