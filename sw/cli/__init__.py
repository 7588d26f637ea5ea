"""The command line: it alone composes all packages."""

import importlib
import sys

import click

from downshift.hw.errors import DownshiftError

__all__ = ["cli", "main"]

COMMANDS = {
    name: name
    for name in (
        "demo", "train", "search", "import", "check", "export", "inspect", "generate", "simulate",
        "build", "flash", "run", "policy", "ip", "bench", "energy", "boards",
    )
} | {"import": "import_model", "inspect": "inspect_file"}  # fmt: skip
"""In the order a user meets them, each with the module and the function in it."""


class _Commands(click.Group):
    """Commands that are imported when they are looked at; none imports torch or Amaranth then."""

    def list_commands(self, ctx):
        """Names, in order."""
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        name = COMMANDS[cmd_name]
        return getattr(importlib.import_module(f"{__name__}.{name}"), name)


HELP = """One int8 model, every gear: networks whose precision shifts at run time.

\b
Train a model, export it, simulate it, build the hardware:
  downshift demo
  downshift train -o digits.pt
  downshift export digits.pt --board ulx3s-85f -o model
  downshift simulate model/model.safetensors --board ulx3s-85f
  downshift build digits.pt --board ulx3s-85f -o bitstream
  downshift flash bitstream/top.bit --board ulx3s-85f
  downshift run bitstream/model.img --port /dev/ttyUSB0 --input x.npy
  downshift bench resnet8 --board ulx3s-85f
"""


@click.command(cls=_Commands, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="downshift")
def cli():
    """Group of the commands."""


def main() -> None:
    """Run the command line; exit with 0, with 1 for what cannot work, with 2 for misuse."""
    try:
        status = cli.main(standalone_mode=False)
    except DownshiftError as error:
        click.echo(f"downshift: {error}", err=True)
        status = error.exit_status
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        status = 2
    except click.ClickException as error:
        click.echo(f"downshift: {error.format_message()}", err=True)
        status = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("downshift: interrupted; nothing was half-written", err=True)
        status = 130
    except BrokenPipeError:
        status = 141
    sys.exit(status or 0)
