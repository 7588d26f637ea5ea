"""Sipeed Tang Nano 9K: https://wiki.sipeed.com/nano9k."""

from downshift.boards.board import Board
from downshift.boards.chips import GW1N_9C, NANO_CORE

__all__ = ["TANG_NANO_9K"]

TANG_NANO_9K = Board(
    name="tang-nano-9k",
    title="Sipeed Tang Nano 9K",
    chip=GW1N_9C,
    part="GW1NR-LV9QN88PC6/I5",
    package=("--device", "GW1NR-LV9QN88PC6/I5"),
    platform="tang_nano_9k:TangNano9kPlatform",
    clock="clk27",
    oscillator_hz=27_000_000,
    clock_hz=72_000_000,
    config=NANO_CORE,
    program_command="openFPGALoader -b tangnano9k {bitstream}",
    program_hint="openFPGALoader comes with most Linux distributions; -f writes the flash as well",
)
