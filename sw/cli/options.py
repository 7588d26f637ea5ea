"""Options that several commands share."""

from pathlib import Path

import click

__all__ = ["WidthsType", "board_option", "folder_option", "json_option", "widths_option"]


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
            if not 2 <= width <= 8:
                self.fail(f"Width must be in 2..8, not {width}", param, ctx)
        if len(set(widths)) < len(widths):
            self.fail(f"Widths must each be named once, not {value!r}", param, ctx)
        return widths


widths_option = click.option(
    "--widths", type=WidthsType(), help="Widths in bits, such as 8,6,4,2.", metavar="LIST"
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
