"""FPGAs, and the accelerators that suit them."""

from downshift.boards.board import Chip, Resources
from downshift.hw.config import AcceleratorConfig, DspConfig

__all__ = [
    "GW1N_9C",
    "GW2A_18C",
    "ICE40UP5K",
    "LFE5UM5G_45F",
    "LFE5UM5G_85F",
    "LFE5U_12F",
    "LFE5U_25F",
    "LFE5U_45F",
    "LFE5U_85F",
    "NANO_CORE",
    "UP5K_CORE",
    "XC7A35T",
    "XC7A100T",
    "XC7Z020",
]

# Resources are those that place and route counts: a 12F is a 25F with another name.
ECP5_25 = Resources(lut=24_288, ff=24_288, bram=56, dsp=28)
ECP5_45 = Resources(lut=43_848, ff=43_848, bram=108, dsp=72)
ECP5_85 = Resources(lut=83_640, ff=83_640, bram=208, dsp=156)
LFE5U_12F = Chip(
    family="ecp5", name="LFE5U-12F", options=("--12k",), resources=ECP5_25, gate_from_global=False
)
LFE5U_25F = Chip(
    family="ecp5", name="LFE5U-25F", options=("--25k",), resources=ECP5_25, gate_from_global=False
)
LFE5U_45F = Chip(family="ecp5", name="LFE5U-45F", options=("--45k",), resources=ECP5_45)
LFE5U_85F = Chip(family="ecp5", name="LFE5U-85F", options=("--85k",), resources=ECP5_85)
LFE5UM5G_45F = Chip(family="ecp5", name="LFE5UM5G-45F", options=("--um5g-45k",), resources=ECP5_45)
LFE5UM5G_85F = Chip(family="ecp5", name="LFE5UM5G-85F", options=("--um5g-85k",), resources=ECP5_85)

ICE40UP5K = Chip(
    family="ice40", name="iCE40UP5K", options=("--up5k",),
    # Every look-up table shares its logic cell with one flip-flop.
    resources=Resources(lut=5_280, ff=5_280, bram=30, dsp=8, spram=4),
)

GW1N_9C = Chip(
    family="gowin", name="GW1N-9C", options=("--vopt", "family=GW1N-9C"),
    resources=Resources(lut=8_640, ff=6_480, bram=26, dsp=20),
)
GW2A_18C = Chip(
    family="gowin", name="GW2A-18C", options=("--vopt", "family=GW2A-18C"),
    resources=Resources(lut=20_736, ff=15_552, bram=46, dsp=48),
)

XC7A35T = Chip(
    family="xilinx7", name="xc7a35t", resources=Resources(lut=20_800, ff=41_600, bram=100, dsp=90)
)
XC7A100T = Chip(
    family="xilinx7", name="xc7a100t",
    resources=Resources(lut=63_400, ff=126_800, bram=270, dsp=240),
)
XC7Z020 = Chip(
    family="xilinx7", name="xc7z020", resources=Resources(lut=53_200, ff=106_400, bram=280, dsp=220)
)

# 64 KiB of weights in two SPRAMs; 27 of 30 EBRs: 4 activations, 8 partial sums, 8 weights in use,
# 4 parameters, 2 program, 1 request. 14 of 16 products in seven hard multipliers, the eighth
# rescales.
UP5K_CORE = DspConfig(
    rows=4,
    lanes=4,
    requantizers=1,
    weight_depth=16384,
    activation_bytes=2048,
    parameter_depth=256,
    partial_sum_depth=256,
    program_depth=256,
    output_depth=1,
    pipelined=False,
    half_rate=True,
    pairs=False,
)
# 16 KiB of weights in 8 of 26 block memories.
NANO_CORE = AcceleratorConfig(
    rows=4,
    lanes=4,
    requantizers=1,
    weight_depth=4096,
    activation_bytes=8192,
    parameter_depth=512,
    partial_sum_depth=512,
    program_depth=512,
    output_depth=1,
    tile_memory=True,
)
