"""`downshift build`."""

from dataclasses import asdict

import click

from downshift.sw.cli.console import print_json, print_table, progress_bars
from downshift.sw.cli.options import board_option, folder_option, json_option

__all__ = ["build"]


@click.command(epilog="Example: downshift build --board icebreaker -o bitstream")
@board_option
@folder_option("bitstream")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the placer.")
@json_option
def build(board, out, seed, as_json):
    """Synthesise, place and route a board's accelerator, down to the bitstream."""
    from downshift.boards import find
    from downshift.boards.build import build as build_bitstream

    chosen = find(board)
    with progress_bars() as bars:
        report = build_bitstream(
            chosen,
            chosen.config,
            out,
            seed=seed,
            progress=lambda text: bars.report("build", None, None, text),
        )
        bars.finish("build")
    if as_json:
        print_json(board_entry(report))
        return
    entry = board_entry(report)
    print_table(
        ["Resource", "Used", "Available"],
        [
            [name.upper(), entry[name], entry[f"{name}_available"]]
            for name in ("lut", "ff", "bram", "dsp", "spram")
            if entry[f"{name}_available"]
        ],
        title=f"{board}: {report.fmax_mhz:.1f} MHz, clocked at {report.clock_mhz:g} MHz",
    )
    click.echo(f"Bitstream: {report.bitstream}")
    click.echo(f"Program it: {chosen.program_command.format(bitstream=report.bitstream)}")


def board_entry(report) -> dict:
    """What a machine wants to know of a build."""
    return {**asdict(report), "bitstream": str(report.bitstream)}
