"""`downshift flash`."""

import shlex
import shutil
import subprocess
from pathlib import Path

import click

from downshift.hw.errors import DownshiftError
from downshift.sw.cli.console import print_json
from downshift.sw.cli.options import board_option, json_option

__all__ = ["flash"]


@click.command(epilog="Example: downshift flash bitstream/top.bit --board ulx3s-85f")
@click.argument("bitstream", type=click.Path(path_type=Path))
@board_option
@json_option
def flash(bitstream, board, as_json):
    """Load BITSTREAM into a board, by the tool that does that for it.

    If the tool is not installed, the exact command is printed, and the exit status is 1.
    """
    from downshift.boards import find

    chosen = find(board)
    if not bitstream.is_file():
        raise DownshiftError(f"There is no file {bitstream}; `downshift build` writes one")
    command = chosen.program_command.format(bitstream=shlex.quote(str(bitstream)))
    tool = shlex.split(command)[0]
    if shutil.which(tool) is None:
        raise DownshiftError(f"{tool} is not installed ({chosen.program_hint}); run: {command}")
    if not as_json:
        click.echo(command)
    told = subprocess.DEVNULL if as_json else None
    status = subprocess.run(command, shell=True, check=False, stdout=told).returncode
    if status:
        raise DownshiftError(f"{tool} failed with status {status}; {chosen.program_hint}")
    if as_json:
        print_json({"command": command})
