"""`downshift build`."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from downshift.hw.errors import DownshiftError
from downshift.sw.cli.accelerator import accelerator_config
from downshift.sw.cli.cluster import cluster
from downshift.sw.cli.console import print_json, print_table, progress_bars
from downshift.sw.cli.model_graph import model_graph, widths_file_options
from downshift.sw.cli.options import (
    board_option,
    config_option,
    folder_option,
    json_option,
    tables_option,
)

__all__ = ["build"]


@click.command(epilog="Example: downshift build digits.pt --board icebreaker -o bitstream")
@click.argument("model", type=click.Path(path_type=Path), required=False)
@board_option
@tables_option
@config_option
@widths_file_options
@folder_option("bitstream")
@click.option(
    "--clock", type=click.FloatRange(min=0, min_open=True), metavar="MHZ",
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
    help="Dask scheduler, such as tcp://host:8786, whose workers try the seeds.",
)  # fmt: skip
@json_option
def build(
    model, board, tables, config_path, widths_file, dataset, data, out, clock, seeds, jobs,
    scheduler, as_json,
):  # fmt: skip
    """Synthesise, place and route a board's accelerator, down to the bitstream.

    MODEL is a checkpoint of `downshift train` or an integer graph (.safetensors): it is compiled
    before anything else, and what `downshift export` writes of it goes beside the bitstream.
    """
    from downshift.boards import find
    from downshift.boards.build import build as build_bitstream
    from downshift.sw.compile.model_files import model_files

    chosen = find(board)
    config = accelerator_config(board, tables=tables)
    files = {}
    if model is not None:
        graph = model_graph(model, widths_file=widths_file, dataset=dataset, data=data)
        config = accelerator_config(board, tables=tables, graph=graph)
        files = model_files(graph, config)
    elif widths_file is not None:
        raise DownshiftError(f"{widths_file} is about a network; name its checkpoint, too")
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
    for name in files:
        click.echo(out / name)
    click.echo(f"Program it: {chosen.program_command.format(bitstream=report.bitstream)}")


def board_entry(report) -> dict:
    """What a machine wants to know of a build."""
    return {**asdict(report), "bitstream": str(report.bitstream)}
