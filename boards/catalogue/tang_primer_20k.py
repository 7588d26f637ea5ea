"""Sipeed Tang Primer 20K in its Lite dock: https://wiki.sipeed.com/primer20k."""

from downshift.boards.board import Board
from downshift.boards.chips import GW2A_18C, NANO_CORE

__all__ = ["TANG_PRIMER_20K"]

TANG_PRIMER_20K = Board(
    name="tang-primer-20k",
    title="Sipeed Tang Primer 20K",
    chip=GW2A_18C,
    part="GW2A-LV18PG256C8/I7",
    package=("--device", "GW2A-LV18PG256C8/I7"),
    platform="tang_primer_20k:TangPrimer20kLitePlatform",
    clock="clk27",
    oscillator_hz=27_000_000,
    clock_hz=81_000_000,
    config=NANO_CORE,
    program_command="openFPGALoader -b tangprimer20k {bitstream}",
    program_hint="openFPGALoader comes with most Linux distributions; -f writes the flash as well",
)
