"""Digilent Arty A7: https://digilent.com/reference/programmable-logic/arty-a7."""

from downshift.boards.board import Board, Chip
from downshift.boards.chips import XC7A35T, XC7A100T
from downshift.hw.config import AcceleratorConfig

__all__ = ["ARTY_A7_35", "ARTY_A7_100"]


def arty_a7(size: int, chip: Chip, part: str) -> Board:
    """Describe the board with one of the FPGAs that it comes with."""
    return Board(
        name=f"arty-a7-{size}",
        title=f"Digilent Arty A7-{size}T",
        chip=chip,
        part=part,
        platform=f"arty_a7:ArtyA7_{size}Platform",
        clock="clk100",
        oscillator_hz=100_000_000,
        clock_hz=80_000_000,
        config=AcceleratorConfig(),
        program_command=f"openFPGALoader -b arty_a7_{size}t {{bitstream}}",
        program_hint="openFPGALoader comes with most Linux distributions; Vivado programs it, too",
    )


ARTY_A7_35 = arty_a7(35, XC7A35T, "xc7a35ticsg324-1L")
ARTY_A7_100 = arty_a7(100, XC7A100T, "xc7a100ticsg324-1L")
