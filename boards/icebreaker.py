"""iCEBreaker 1.0: https://github.com/icebreaker-fpga/icebreaker, pins from icebreaker.pcf."""

from downshift.boards.board import Board, Pin, Resources
from downshift.hw.config import AcceleratorConfig

__all__ = ["ICEBREAKER"]

ICEBREAKER = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    family="ice40",
    device="iCE40UP5K-SG48",
    place_options=("--up5k", "--package", "sg48"),
    oscillator_hz=12_000_000,
    clock_hz=24_000_000,
    baud=1_000_000,
    # 64 KiB of weights in two SPRAMs; 27 of 30 EBRs: 4 activations, 8 partial sums, 8 weights in
    # use, 4 parameters, 2 program, 1 request.
    config=AcceleratorConfig(
        rows=4,
        lanes=4,
        requantizers=1,
        weight_depth=16384,
        activation_bytes=2048,
        parameter_depth=256,
        partial_sum_depth=256,
        program_depth=256,
        output_depth=1,
        tile_memory=True,
        pipelined=False,
    ),
    # Every look-up table shares its logic cell with one flip-flop.
    resources=Resources(lut=5_280, ff=5_280, bram=30, dsp=8, spram=4),
    pins={
        "clk": Pin("35"),
        "rx":  Pin("6", ("-pullup", "yes")),
        "tx":  Pin("9"),
    },
    program_command="openFPGALoader -b ice40_generic {bitstream}",
    program_hint="openFPGALoader comes with most Linux distributions; iceprog works as well",
)
