"""What goes beside a bitstream for the person who finds it: `readme`."""

from dataclasses import asdict

from downshift.boards.board import Board
from downshift.boards.build_report import NOUNS, BuildReport
from downshift.boards.families.family import TOP, Config

__all__ = ["readme"]


def readme(board: Board, config: Config, report: BuildReport) -> str:
    """Tell how to load a bitstream and talk to its accelerator.

    Parameters
    ----------
    board : Board
        With the clock that it was built for.
    config : AcceleratorConfig or TableConfig
    report : BuildReport

    Returns
    -------
    str
        The text of ``README.txt``.
    """
    bitstream = report.bitstream.name if report.bitstream else f"{TOP}.bit"
    if report.fmax_mhz is None:
        clock = f"Clock: {report.clock_mhz:g} MHz. Make the bitstream: ./build.sh, with Vivado."
    else:
        clock = (
            f"Clock: {report.clock_mhz:g} MHz, routed at {report.fmax_mhz:g} MHz; "
            f"seed {report.seed}."
        )
    cells = [
        f"  {noun:<18} {getattr(report, name):>7,} of {getattr(report, f'{name}_available'):,}"
        for name, (noun, _) in NOUNS.items()
        if getattr(report, f"{name}_available")
    ]
    sizes = [f"  {name:<18} {value}" for name, value in asdict(config).items()]
    return "\n".join([
        f"Downshift accelerator for {board.title} ({board.part})",
        "",
        clock,
        f"Serial port: {board.serial_hz} bit/s, 8 data bits, no parity, 1 stop bit.",
        f"Fingerprint: {config.fingerprint:08x}. Images compiled for another one are refused.",
        "",
        "Load it:",
        f"  {board.program_command.format(bitstream=bitstream)}",
        f"  ({board.program_hint})",
        "",
        "Talk to it, with codes of inputs, uint8 of (n, height, width, channels):",
        "  downshift run model.img --port /dev/ttyUSB0 --input x.npy",
        "or from Python:",
        "  from pathlib import Path",
        "  from downshift.sw.compile.image import Image",
        "  from downshift.sw.device.driver import Accelerator",
        "  from downshift.sw.device.serial_transport import SerialTransport",
        f'  accelerator = Accelerator(SerialTransport("/dev/ttyUSB0", baud={board.serial_hz}))',
        '  accelerator.load(Image.load(Path("model.img")))',
        "  accelerator.run(x[0], width=8).logits",
        "",
        "Build it again: ./build.sh (needs the tools of pip install 'downshift[fpga]').",
        "",
        "It takes:",
        *cells,
        "",
        f"Configuration ({type(config).__name__}):",
        *sizes,
        "",
    ])
