"""`downshift run`."""

from pathlib import Path

import click
import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.cli.accelerator import accelerator_config
from downshift.sw.cli.console import print_json, print_table, progress_bars
from downshift.sw.cli.model_graph import model_graph
from downshift.sw.cli.options import (
    PositiveNumber,
    board_option,
    config_option,
    json_option,
    tables_option,
)

__all__ = ["run"]

AGAIN = 3
"""Runs of the same frames, at most, while bits flip."""
SHOWN = 20
"""Frames that are shown, at most."""


@click.command(
    epilog="Example: downshift run bitstream/model.img --port /dev/ttyUSB0 --input x.npy"
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--port", required=True, metavar="PORT", help="Serial port, such as /dev/ttyUSB0.")
@click.option(
    "--input", "input_path", type=click.Path(path_type=Path), required=True, metavar="FILE.npy",
    help="Input codes, uint8 of (n, height, width, channels).",
)  # fmt: skip
@click.option(
    "--width", type=click.IntRange(1, 8), metavar="BITS", help="Default: the image's highest."
)
@click.option(
    "--policy", "policy_path", type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.json", help="What chooses the width of each frame, from `downshift policy`.",
)  # fmt: skip
@click.option(
    "--deadline", type=PositiveNumber(), metavar="MS",
    help="Milliseconds that a frame may take in the accelerator: each runs at the highest width "
    "that does, by the cycle model.",
)  # fmt: skip
@click.option(
    "--clock", type=PositiveNumber(), metavar="MHZ",
    help="Of the bitstream, for --deadline.  [default: the board's]",
)  # fmt: skip
@click.option(
    "--scrub", type=click.IntRange(min=1), metavar="N",
    help="After every N frames, compare the board's memories with the image; if a bit has flipped, "
    "load it and run those frames again.",
)  # fmt: skip
@click.option(
    "--baud", type=click.IntRange(min=1), metavar="BAUD",
    help="Bits a second of the port.  [default: the board's]",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.npy",
    help="File for the logits, int32 of (n, classes).",
)  # fmt: skip
@board_option
@tables_option
@config_option
@json_option
def run(
    model, port, input_path, width, policy_path, deadline, clock, scrub, baud, out, board, tables,
    config_path, as_json,
):  # fmt: skip
    """Run frames on a board that has its bitstream.

    MODEL is the image (.img) that `downshift build` or `downshift export` wrote, or a checkpoint or
    integer graph, which is compiled for the accelerator of --board. It is loaded into the board,
    and the frames run one after the other, all at one width or under a policy.
    """
    from downshift.boards import find
    from downshift.sw.atomic_write import check_writable, write_atomically
    from downshift.sw.compile.compiler import compile_graph
    from downshift.sw.compile.image import Image
    from downshift.sw.data.codes import load_codes
    from downshift.sw.device.driver import Accelerator
    from downshift.sw.device.serial_transport import SerialTransport
    from downshift.sw.policy.policies import Fixed
    from downshift.sw.policy.policy_file import read_policy
    from downshift.sw.policy.runner import PolicyRunner

    if model.suffix == ".img":
        image = Image.load(model)
    else:
        graph = model_graph(model, widths_file=None, dataset=None, data=None)
        config = accelerator_config(board, tables=tables, graph=graph, path=config_path)
        image = compile_graph(graph, config)
    if policy_path is not None and width is not None:
        raise DownshiftError(f"{policy_path} chooses the widths; leave --width out")
    if clock is not None and deadline is None:
        raise DownshiftError("--clock belongs to --deadline; give both")
    if deadline is not None and (policy_path is not None or width is not None):
        raise DownshiftError("--deadline chooses the widths; leave --width and --policy out")
    if policy_path is not None:
        policy = read_policy(policy_path)
    elif deadline is not None:
        policy = _in_time(image, deadline, clock * 1e6 if clock else find(board).clock_hz)
    else:
        policy = Fixed(width or image.widths[0])
    for each in policy.widths:
        if each not in image.widths:
            have = ", ".join(map(str, image.widths))
            raise DownshiftError(f"{model} runs at widths {have}, not {each}")
    x = load_codes(input_path, None, shape=image.input_shape, bits=image.input_bits)
    if out:
        check_writable(out)
    with (
        SerialTransport(port, baud=baud or find(board).baud) as transport,
        progress_bars() as bars,
    ):
        accelerator = Accelerator(transport)
        accelerator.load(image, progress=lambda *at: bars.report("load", *at))
        runner = PolicyRunner(accelerator, policy)
        results, again = [], 0
        while len(results) < len(x):
            start, end = len(results), min(len(x), len(results) + (scrub or len(x)))
            for result in runner.run_all(x[start:end]):
                results.append(result)
                bars.report("run", len(results), len(x))
            if damaged := accelerator.scrub() if scrub else ():
                names = ", ".join(section.name.lower() for section in damaged)
                click.echo(
                    f"downshift: bits have flipped in the board ({names}); frames {start} to "
                    f"{end - 1} run again",
                    err=True,
                )
                del results[start:]
                again += 1
                if again == AGAIN:
                    raise DownshiftError(
                        f"The board's memory ({names}) is wrong after {AGAIN} times of loading; is "
                        "its power steady, and the clock of its bitstream met?"
                    )
            else:
                again = 0
    if out:
        write_atomically(out, _npy(np.stack([each.result.logits for each in results])))
    if as_json:
        entries = [
            {
                "label": each.result.label,
                "widths": each.widths,
                "cycles": each.cycles,
                "logits": each.result.logits.tolist(),
            }
            for each in results
        ]
        print_json({"network": image.network, "frames": entries})
        return
    print_table(
        ["Frame", "Label", "Logit", "Widths", "Cycles"],
        [
            [
                number, each.result.label, int(each.result.logits.max()),
                " ".join(map(str, each.widths)), each.cycles,
            ]
            for number, each in enumerate(results[:SHOWN])
        ],
        title=image.network,
    )  # fmt: skip
    if len(results) > SHOWN:
        click.echo(f"… and {len(results) - SHOWN} more frames; --json or -o has all")


def _in_time(image, milliseconds: float, clock_hz: float):
    """The highest width that takes no longer; else the fastest, and that is said."""
    from downshift.sim.cycles import cycles
    from downshift.sw.policy.policies import Deadline, Fixed

    costs = {each: cycles(image, each).total for each in image.widths}
    width = Deadline(costs, clock_hz=clock_hz).first(milliseconds / 1e3)
    takes = costs[width] / clock_hz * 1e3
    if takes > milliseconds:
        click.echo(
            f"downshift: no width takes {milliseconds:g} ms or less; the fastest, {width} bits, "
            f"takes {takes:.3g} ms at {clock_hz / 1e6:g} MHz",
            err=True,
        )
    return Fixed(width)


def _npy(array: np.ndarray) -> bytes:
    import io

    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()
