"""OrangeCrab r0.2: https://orangecrab-fpga.github.io/orangecrab-hardware/docs/r0.2."""

from downshift.boards.board import Board, Chip, Pin
from downshift.boards.chips import LFE5U_25F, LFE5U_85F
from downshift.hw.config import AcceleratorConfig

__all__ = ["ORANGECRAB_25F", "ORANGECRAB_85F"]


def orangecrab(size: int, chip: Chip) -> Board:
    """Describe the board with one of the FPGAs that it comes with."""
    return Board(
        name=f"orangecrab-{size}f",
        title=f"OrangeCrab r0.2 {size}F",
        chip=chip,
        part=f"{chip.name}-8MG285C",
        package=("--package", "CSFBGA285", "--speed", "8"),
        platform=f"orangecrab_r0_2:OrangeCrabR0_2_{size}FPlatform",
        clock="clk",
        oscillator_hz=48_000_000,
        # The first two pins of the long header, marked 0 and 1.
        pins={
            "rx": Pin("N17", {"IO_TYPE": "LVCMOS33"}),
            "tx": Pin("M18", {"IO_TYPE": "LVCMOS33"}),
        },
        clock_hz=96_000_000,
        config=AcceleratorConfig(),
        program_command="dfu-suffix -v 1209 -p 5af0 -a {bitstream} && dfu-util -D {bitstream}",
        program_hint=(
            "dfu-util comes with most Linux distributions; hold the button while the board is "
            "plugged in, and connect a serial adapter of 3.3 V: its TX to pin 0, its RX to pin 1"
        ),
    )


ORANGECRAB_25F = orangecrab(25, LFE5U_25F)
ORANGECRAB_85F = orangecrab(85, LFE5U_85F)
