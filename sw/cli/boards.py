"""`downshift boards`."""

import click

from downshift.sw.cli.console import print_json, print_table
from downshift.sw.cli.options import json_option

__all__ = ["boards"]


@click.command(epilog="Example: downshift boards --json")
@json_option
def boards(as_json):
    """List the boards, and the accelerator that each one gets."""
    from downshift.boards import BOARDS

    entries = [
        {
            "name": board.name,
            "title": board.title,
            "device": board.part,
            "clock_mhz": board.clock_hz / 1e6,
            "baud": board.baud,
            "rows": board.config.rows,
            "lanes": board.config.lanes,
            "lut": board.resources.lut,
            "bram": board.resources.bram,
            "dsp": board.resources.dsp,
        }
        for board in BOARDS
    ]
    if as_json:
        print_json(entries)
        return
    print_table(
        ["Name", "FPGA", "MHz", "Rows", "Lanes", "LUT", "BRAM", "DSP"],
        [
            [
                entry["name"], entry["device"], f"{entry['clock_mhz']:g}", entry["rows"],
                entry["lanes"], entry["lut"], entry["bram"], entry["dsp"],
            ]
            for entry in entries
        ],
    )  # fmt: skip
