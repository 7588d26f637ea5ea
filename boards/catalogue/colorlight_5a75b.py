"""Colorlight 5A-75B, hardware 7.0: https://github.com/q3k/chubby75/tree/master/5a-75b."""

from downshift.boards.board import Board
from downshift.boards.chips import LFE5U_25F
from downshift.hw.config import AcceleratorConfig

__all__ = ["COLORLIGHT_5A75B"]

COLORLIGHT_5A75B = Board(
    name="colorlight-5a-75b",
    title="Colorlight 5A-75B 7.0",
    chip=LFE5U_25F,
    part="LFE5U-25F-6BG256C",
    package=("--package", "CABGA256", "--speed", "6"),
    platform="colorlight_5a75b_r7_0:Colorlight_5A75B_R70Platform",
    clock="clk25",
    oscillator_hz=25_000_000,
    clock_hz=80_000_000,
    config=AcceleratorConfig(),
    program_command="openFPGALoader -c ft232RL --pins=RXD:RTS:TXD:CTS {bitstream}",
    program_hint=(
        "openFPGALoader comes with most Linux distributions; solder a JTAG cable to J27…J34, and "
        "a serial adapter of 3.3 V: its TX to the button KEY+, its RX to the LED DATA_LED-"
    ),
)
