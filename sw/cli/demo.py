"""`downshift demo`: digits trained at four widths, proven in RTL, routed for two boards."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from downshift.hw.errors import DownshiftError
from downshift.sw.cli.build import board_entry
from downshift.sw.cli.console import Bars, print_json, print_table, progress_bars
from downshift.sw.cli.options import json_option

__all__ = ["demo", "run_demo"]

BOARD = "ulx3s-85f"
"""The board whose accelerator is simulated."""
ROUTED = (BOARD, "icebreaker")
"""The boards that get bitstreams."""
IMAGES = 64
"""Test images simulated at each width."""


@click.command(epilog="Example: downshift demo --out build/demo")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path, file_okay=False), default=Path("build/demo"),
    show_default=True, metavar="DIR", help="Folder for the results.",
)  # fmt: skip
@json_option
def demo(out, as_json):
    """Run the whole flow on handwritten digits, from training to bitstreams.

    Trains a small CNN at 8, 6, 4 and 2 bits with one set of weights; exports it; generates Verilog
    for two boards; simulates 64 images at each width through the serial link and compares every
    number with the golden model; places and routes both boards; writes report.json and report.png.
    """
    with progress_bars() as bars:
        report = run_demo(out, bars)
    if as_json:
        print_json(report)
    else:
        _show(report, out)
    wrong = any(entry["mismatches"] for entry in report["widths"].values())
    routed = all("bitstream" in entry for entry in report["boards"].values())
    return 0 if routed and not wrong else 1


def run_demo(out: Path, bars: Bars) -> dict[str, Any]:
    """Run the flow, and write ``report.json`` and ``report.png`` beside its results.

    Parameters
    ----------
    out : Path
        Folder for the results.
    bars : Bars
        Where progress is shown.

    Returns
    -------
    dict
        The content of ``report.json``.
    """
    from downshift.boards import find
    from downshift.boards.generate import generate
    from downshift.sim import golden
    from downshift.sim.cosimulation import cosimulate
    from downshift.sw.atomic_write import write_atomically
    from downshift.sw.cli.report_plot import plot_report
    from downshift.sw.compile.model_files import model_files

    out.mkdir(parents=True, exist_ok=True)
    seconds = {}

    # Routing needs nothing of what follows: all boards route beside it.
    routes = {}
    with ThreadPoolExecutor(max_workers=len(ROUTED)) as pool:
        try:
            began = time.monotonic()
            bars.report("generate", 0, len(ROUTED))
            for done, board in enumerate(map(find, ROUTED), start=1):
                generate(board, board.config, out / board.name)
                bars.report("generate", done, len(ROUTED))
                routes[board.name] = pool.submit(_route, board, out / board.name, bars)
            seconds["generate"] = time.monotonic() - began

            began = time.monotonic()
            trained = _train(out, bars)
            seconds["train"] = time.monotonic() - began

            graph = trained["graph"]
            config = find(BOARD).config
            for name, content in model_files(graph, config).items():
                write_atomically(out / name, content)

            began = time.monotonic()
            x, labels = trained["codes"], trained["labels"]
            widths = cosimulate(
                graph,
                config,
                x[:IMAGES],
                out / "simulation",
                widths=graph.widths,
                progress=bars.report,
            )
            seconds["simulate"] = time.monotonic() - began
            boards = {name: route.result() for name, route in routes.items()}
        finally:
            for route in routes.values():
                route.cancel()
    seconds["route"] = sum(entry.pop("seconds") for entry in boards.values())

    switches = [entry.pop("switch") for entry in widths.values()]
    report = {
        "widths": {
            width: {
                "accuracy": float(
                    (golden.run(graph, x, int(width), keep_codes=False).labels == labels).mean()
                ),
                **entry,
            }
            for width, entry in widths.items()
        },
        "fp32_accuracy": trained["float_accuracy"],
        "test_images": len(x),
        "weights_stored_bytes": graph.weight_bytes,
        "switch": {name: max(cost[name] for cost in switches) for name in switches[0]},
        "boards": boards,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }
    write_atomically(out / "report.json", json.dumps(report, indent=2) + "\n")
    plot_report(report, out / "report.png")
    return report


def _train(out: Path, bars: Bars) -> dict[str, Any]:
    """Train, save the checkpoint, lower, and give the test split as codes."""
    import torch

    from downshift.sw.data.digits import load_digits
    from downshift.sw.quantization.freeze import freeze
    from downshift.sw.training.checkpoint import save_checkpoint
    from downshift.sw.training.config import TrainingConfig
    from downshift.sw.training.run import train

    bars.report("train", None, None, "loading PyTorch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # routing needs the other cores
    try:
        images = load_digits()
        training = train(
            TrainingConfig(),
            images,
            progress=lambda done, total, text: bars.report("train", done, total, text),
        )
    finally:
        torch.set_num_threads(threads)
    if training.interrupted:
        raise KeyboardInterrupt
    save_checkpoint(out / "digits.pt", training)
    graph = freeze(training.model, input_shape=images.input_shape, name="digits").graph
    codes = images.test.codes.permute(0, 2, 3, 1).contiguous()
    return {
        "graph": graph,
        "codes": codes.numpy(),
        "labels": images.test.labels.numpy(),
        "float_accuracy": training.float_accuracy,
    }


def _route(board, out: Path, bars: Bars) -> dict[str, Any]:
    """Build a board's bitstream from its generated sources, or say why there is none."""
    from downshift.boards.build import build

    began = time.monotonic()
    try:
        report = build(
            board,
            board.config,
            out,
            clock_hz=board.clock_hz,
            sources=out,
            progress=lambda text: bars.report(board.name, None, None, text),
        )
    except DownshiftError as error:
        bars.finish(board.name, "failed")
        entry = {"error": str(error)}
    else:
        bars.finish(board.name, f"{report.fmax_mhz:.0f} MHz")
        entry = board_entry(report)
    return {**entry, "seconds": time.monotonic() - began}


def _show(report: dict[str, Any], out: Path) -> None:
    """Print the report as tables."""
    print_table(
        ["Bits", "Accuracy", "Cycles/image", "Weight bits", "Compared", "Mismatches"],
        [
            ["FP32", f"{report['fp32_accuracy']:.2%}", "–", "–", "–", "–"],
            *(
                [
                    width, f"{entry['accuracy']:.2%}", entry["cycles_per_image"],
                    entry["weight_bits_read"],
                    entry["logits_compared"] + entry["codes_compared"], entry["mismatches"],
                ]
                for width, entry in report["widths"].items()
            ),
        ],
        title=f"One set of {report['weights_stored_bytes']:,} bytes of weights",
    )  # fmt: skip
    print_table(
        ["Board", "fmax", "LUT", "FF", "BRAM", "DSP"],
        [
            [
                name, f"{entry['fmax_mhz']:.1f} MHz",
                f"{entry['lut']:,} of {entry['lut_available']:,}", entry["ff"], entry["bram"],
                entry["dsp"],
            ]
            for name, entry in report["boards"].items()
            if "error" not in entry
        ],
    )  # fmt: skip
    for name, entry in report["boards"].items():
        if "error" in entry:
            click.echo(f"No bitstream for {name}: {entry['error']}")
        else:
            click.echo(f"Bitstream for {name}: {entry['bitstream']}")
    switch = report["switch"]
    click.echo(
        f"Switching width between frames: {switch['host_bytes']} bytes over the link, "
        f"{switch['cycles']} cycles."
    )
    click.echo(f"Report: {out / 'report.json'}, {out / 'report.png'}")
