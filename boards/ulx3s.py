"""ULX3S with the largest ECP5: https://radiona.org/ulx3s, pins from ulx3s_v20.lpf."""

from downshift.boards.board import Board, Pin, Resources
from downshift.hw.config import AcceleratorConfig

__all__ = ["ULX3S_85F"]

ULX3S_85F = Board(
    name="ulx3s-85f",
    title="Radiona ULX3S 85F",
    family="ecp5",
    device="LFE5U-85F-6BG381C",
    place_options=("--85k", "--package", "CABGA381", "--speed", "6"),
    oscillator_hz=25_000_000,
    clock_hz=80_000_000,
    baud=1_000_000,
    config=AcceleratorConfig(),
    resources=Resources(lut=83_640, ff=83_640, bram=208, dsp=156),
    pins={
        "clk": Pin("G2", ("IO_TYPE=LVCMOS33",)),
        "rx":  Pin("M1", ("IO_TYPE=LVCMOS33", "PULLMODE=UP")),
        "tx":  Pin("L4", ("IO_TYPE=LVCMOS33",)),
    },
    program_command="openFPGALoader -b ulx3s {bitstream}",
    program_hint="openFPGALoader comes with most Linux distributions; use the USB port marked US1",
)
