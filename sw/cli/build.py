"""`downshift build`."""

import os
from dataclasses import asdict, replace
from pathlib import Path

import click

from downshift.sw.cli.accelerator import accelerator_config
from downshift.sw.cli.cluster import cluster
from downshift.sw.cli.console import print_json, print_table, progress_bars
from downshift.sw.cli.model_graph import optional_graph, widths_file_options
from downshift.sw.cli.options import (
    PositiveNumber,
    board_option,
    config_option,
    folder_option,
    json_option,
    tables_option,
)

__all__ = ["build"]

SHOWN = 8
"""Accelerators that are shown, at most."""


@click.command(epilog="Example: downshift build digits.pt --board icebreaker -o bitstream")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@board_option
@tables_option
@config_option
@widths_file_options
@folder_option("bitstream")
@click.option(
    "--cascade", is_flag=True,
    help="Let the accelerator choose between the two widths of a cascade by itself.",
)  # fmt: skip
@click.option(
    "--clock", type=PositiveNumber(), metavar="MHZ",
    help="Of the accelerator.  [default: the highest that routing reaches]",
)  # fmt: skip
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, metavar="N",
    help="Seeds of the placer to try; the fastest design is kept.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1, 1000), metavar="M",
    help="Seeds to try at once.  [default: as many as there are cores]",
)  # fmt: skip
@click.option(
    "--scheduler", metavar="ADDRESS",
    help="Dask scheduler, such as tcp://host:8786, whose workers try accelerators and seeds.",
)  # fmt: skip
@json_option
def build(
    model, board, tables, config_path, widths_file, dataset, data, out, cascade, clock, seeds, jobs,
    scheduler, as_json,
):  # fmt: skip
    """Synthesise, place and route a board's accelerator, down to the bitstream.

    MODEL is a checkpoint of `downshift train` or an integer graph (.safetensors). The board gets
    the accelerator that runs it in the fewest cycles of all that the board holds, with memories as
    large as it needs; --config or --tables ask for another. It is compiled before anything else,
    and what `downshift export` writes of it goes beside the bitstream.
    """
    from downshift.boards import find
    from downshift.boards.build import build as build_bitstream
    from downshift.boards.fit import can_fit, fit
    from downshift.hw.protocol import Feature
    from downshift.sw.compile.model_files import model_files

    chosen, found = find(board), None
    if cascade:
        chosen = replace(chosen, features=chosen.features | Feature.CASCADE)
    graph = optional_graph(model, widths_file=widths_file, dataset=dataset, data=data)
    if graph is None or tables or config_path or not can_fit(chosen):
        config = accelerator_config(board, tables=tables, graph=graph, path=config_path)
    else:
        with cluster(scheduler) as pool, progress_bars() as bars:
            found = fit(chosen, graph, pool=pool, progress=lambda *at: bars.report("fit", *at))
            bars.finish("fit")
        config = found.chosen.config
        if not as_json:
            _show_fit(found, chosen)
    files = {} if graph is None else model_files(graph, config)
    with cluster(scheduler) as pool, progress_bars() as bars:
        report = build_bitstream(
            chosen,
            config,
            out,
            clock_hz=None if clock is None else round(clock * 1e6),
            seeds=range(1, seeds + 1),
            pool=pool,
            jobs=jobs or os.cpu_count() or 1,
            files=files,
            progress=lambda text: bars.report("build", None, None, text),
        )
        bars.finish("build")
    if as_json:
        entry = board_entry(report)
        if found:
            entry["fit"] = {"predicted": asdict(found.chosen.needs), "cycles": found.chosen.cycles}
        print_json(entry)
        return
    entry = board_entry(report)
    print_table(
        ["Resource", "Used", "Available"],
        [
            [name.upper(), entry[name], entry[f"{name}_available"]]
            for name in ("lut", "ff", "bram", "dsp", "spram")
            if entry[f"{name}_available"]
        ],
        title=f"{board}: {_speed(report)}",
    )
    for name in files:
        click.echo(out / name)
    if report.bitstream:
        click.echo(f"Bitstream: {report.bitstream}")
        click.echo(f"Program it: {chosen.program_command.format(bitstream=report.bitstream)}")
    else:
        click.echo(f"Make its bitstream, with Vivado: {out / 'build.sh'}")


def _speed(report) -> str:
    clocked = f"clocked at {report.clock_mhz:g} MHz"
    return clocked if report.fmax_mhz is None else f"{report.fmax_mhz:.1f} MHz, {clocked}"


def _show_fit(found, board) -> None:
    """Show the accelerators that were found, the fastest first."""
    best = (found.chosen, *found.others)[:SHOWN]
    widths = list(found.chosen.cycles)
    print_table(
        [
            "Rows", "Lanes", "Requantizers", "Sums",
            *(f"Cycles, {width} bits" for width in widths), "LUT", "BRAM", "DSP", "",
        ],
        [
            [
                each.config.rows, each.config.lanes, each.config.requantizers,
                each.config.partial_sum_depth, *(each.cycles[width] for width in widths),
                each.needs.lut, each.needs.bram, each.needs.dsp,
                "chosen" if each is found.chosen else "",
            ]
            for each in best
        ],
        title=f"{1 + len(found.others)} of {found.looked_at} accelerators fit {board.name}",
    )  # fmt: skip


def board_entry(report) -> dict:
    """What a machine wants to know of a build."""
    return {**asdict(report), "bitstream": report.bitstream and str(report.bitstream)}
