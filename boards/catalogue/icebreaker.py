"""iCEBreaker 1.0: https://github.com/icebreaker-fpga/icebreaker."""

from downshift.boards.board import Board
from downshift.boards.chips import ICE40UP5K, UP5K_CORE
from downshift.hw.protocol import Feature

__all__ = ["ICEBREAKER"]

ICEBREAKER = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    chip=ICE40UP5K,
    part="iCE40UP5K-SG48",
    package=("--package", "sg48"),
    platform="icebreaker:ICEBreakerPlatform",
    clock="clk12",
    oscillator_hz=12_000_000,
    clock_hz=24_000_000,
    config=UP5K_CORE,
    features=Feature.NONE,
    program_command="openFPGALoader -b ice40_generic {bitstream}",
    program_hint="openFPGALoader comes with most Linux distributions; iceprog works as well",
)
