"""tinyVision UPduino v3: https://upduino.readthedocs.io."""

from downshift.boards.board import Board, Pin
from downshift.boards.chips import ICE40UP5K, UP5K_CORE
from downshift.hw.protocol import Feature

__all__ = ["UPDUINO_V3"]

UPDUINO_V3 = Board(
    name="upduino-v3",
    title="tinyVision UPduino v3",
    chip=ICE40UP5K,
    part="iCE40UP5K-SG48",
    package=("--package", "sg48"),
    platform="upduino_v3:UpduinoV3Platform",
    clock="clk12",
    oscillator_hz=12_000_000,
    # The serial port is on the wires of the flash memory, which stays deselected.
    pins={"rx": Pin("15"), "tx": Pin("14"), "flash_select_n": Pin("16")},
    held_high=("flash_select_n",),
    clock_hz=24_000_000,
    config=UP5K_CORE,
    features=Feature.NONE,
    program_command="iceprog {bitstream}",
    program_hint="iceprog comes with Project IceStorm; close the solder jumper OSC of the board",
)
