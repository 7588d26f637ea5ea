"""LambdaConcept ECPIX-5: https://docs.lambdaconcept.com/ecpix-5."""

from downshift.boards.board import Board, Chip
from downshift.boards.chips import LFE5UM5G_45F, LFE5UM5G_85F
from downshift.hw.config import AcceleratorConfig

__all__ = ["ECPIX5_45F", "ECPIX5_85F"]


def ecpix5(size: int, chip: Chip) -> Board:
    """Describe the board with one of the FPGAs that it comes with."""
    return Board(
        name=f"ecpix5-{size}f",
        title=f"LambdaConcept ECPIX-5 {size}F",
        chip=chip,
        part=f"{chip.name}-8BG554I",
        package=("--package", "CABGA554", "--speed", "8"),
        platform=f"ecpix5:ECPIX5{size}Platform",
        clock="clk100",
        oscillator_hz=100_000_000,
        clock_hz=100_000_000,
        config=AcceleratorConfig(),
        program_command="openFPGALoader -b ecpix5 {bitstream}",
        program_hint="openFPGALoader comes with most Linux distributions; use the port marked USB",
    )


ECPIX5_45F = ecpix5(45, LFE5UM5G_45F)
ECPIX5_85F = ecpix5(85, LFE5UM5G_85F)
