"""Radiona ULX3S: https://radiona.org/ulx3s."""

from downshift.boards.board import Board, Chip
from downshift.boards.chips import LFE5U_12F, LFE5U_25F, LFE5U_45F, LFE5U_85F
from downshift.hw.config import AcceleratorConfig

__all__ = ["ULX3S_12F", "ULX3S_25F", "ULX3S_45F", "ULX3S_85F"]


def ulx3s(size: int, chip: Chip) -> Board:
    """Describe the board with one of the FPGAs that it comes with."""
    return Board(
        name=f"ulx3s-{size}f",
        title=f"Radiona ULX3S {size}F",
        chip=chip,
        part=f"{chip.name}-6BG381C",
        package=("--package", "CABGA381", "--speed", "6"),
        platform=f"ulx3s:ULX3S_{size}F_Platform",
        clock="clk25",
        oscillator_hz=25_000_000,
        clock_hz=80_000_000,
        config=AcceleratorConfig(),
        program_command="openFPGALoader -b ulx3s {bitstream}",
        program_hint=(
            "openFPGALoader comes with most Linux distributions; use the USB port marked US1"
        ),
    )


ULX3S_12F = ulx3s(12, LFE5U_12F)
ULX3S_25F = ulx3s(25, LFE5U_25F)
ULX3S_45F = ulx3s(45, LFE5U_45F)
ULX3S_85F = ulx3s(85, LFE5U_85F)
