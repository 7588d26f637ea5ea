"""Options that several commands share."""

import math
from pathlib import Path

import click

__all__ = [
    "PositiveNumber",
    "SeedsType",
    "WidthsType",
    "board_option",
    "config_option",
    "data_option",
    "folder_option",
    "json_option",
    "tables_option",
    "widths_option",
]


class PositiveNumber(click.ParamType):
    """A number above zero, and not infinite."""

    name = "number"

    def convert(self, value, param, ctx):
        """Turn "2.5" into 2.5."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is no number", param, ctx)
        if not (math.isfinite(number) and number > 0):
            self.fail(f"The number must be above 0 and finite, not {value!r}", param, ctx)
        return number


class WidthsType(click.ParamType):
    """Widths in bits, separated by commas."""

    name = "widths"

    def convert(self, value, param, ctx):
        """Turn "8,4" into (8, 4)."""
        if isinstance(value, tuple):
            return value
        try:
            widths = tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"Widths must be numbers separated by commas, not {value!r}", param, ctx)
        for width in widths:
            if not 1 <= width <= 8:
                self.fail(f"Width must be in 1..8, not {width}", param, ctx)
        if len(set(widths)) < len(widths):
            self.fail(f"Widths must each be named once, not {value!r}", param, ctx)
        return widths


class SeedsType(click.ParamType):
    """Seeds of the placer, separated by commas."""

    name = "seeds"

    def convert(self, value, param, ctx):
        """Turn "1,2" into (1, 2)."""
        if isinstance(value, tuple):
            return value
        try:
            seeds = tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"Seeds must be numbers separated by commas, not {value!r}", param, ctx)
        if min(seeds) < 0 or max(seeds) >= 1 << 31:
            self.fail(f"Seeds must be in 0..2147483647, not {value!r}", param, ctx)
        if len(set(seeds)) < len(seeds):
            self.fail(f"Seeds must each be named once, not {value!r}", param, ctx)
        return seeds


widths_option = click.option(
    "--widths", type=WidthsType(), help="Widths in bits, such as 8,6,4,2.", metavar="LIST"
)
data_option = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Where data sets lie, or are to lie; default: $DOWNSHIFT_DATA, else ~/.cache/downshift.",
)  # fmt: skip
config_option = click.option(
    "--config", "config_path", type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.json",
    help="The accelerator that a file describes, such as config.json of `downshift build`.",
)  # fmt: skip
tables_option = click.option(
    "--tables", is_flag=True, help="The large accelerator instead of the board's own."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
board_option = click.option(
    "--board", default="ulx3s-85f", show_default=True, metavar="NAME",
    help="Board; `downshift boards` lists them.",
)  # fmt: skip


def folder_option(default: str):
    """Folder for the results, made if it is missing."""
    return click.option(
        "-o", "--out", type=click.Path(path_type=Path, file_okay=False), default=Path(default),
        show_default=True, metavar="DIR", help="Folder for the results.",
    )  # fmt: skip
