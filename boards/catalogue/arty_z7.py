"""Digilent Arty Z7-20: https://digilent.com/reference/programmable-logic/arty-z7."""

from downshift.boards.board import Board, Pin
from downshift.boards.chips import XC7Z020
from downshift.hw.config import AcceleratorConfig

__all__ = ["ARTY_Z7_20"]

ARTY_Z7_20 = Board(
    name="arty-z7-20",
    title="Digilent Arty Z7-20",
    chip=XC7Z020,
    part="xc7z020clg400-1",
    platform="arty_z7:ArtyZ720Platform",
    clock="clk125",
    oscillator_hz=125_000_000,
    # The serial port of the board belongs to its processors: pins 1 and 2 of the Pmod JA instead.
    pins={
        "rx": Pin("Y18", {"IOSTANDARD": "LVCMOS33"}),
        "tx": Pin("Y19", {"IOSTANDARD": "LVCMOS33"}),
    },
    clock_hz=80_000_000,
    config=AcceleratorConfig(),
    program_command="openFPGALoader -c digilent {bitstream}",
    program_hint=(
        "openFPGALoader comes with most Linux distributions; connect a serial adapter of 3.3 V: "
        "its TX to pin 1 of JA, its RX to pin 2"
    ),
)
