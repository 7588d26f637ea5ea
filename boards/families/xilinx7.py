"""Xilinx 7 series: Yosys says what a design takes, Vivado makes the bitstream."""

from downshift.boards.families.family import TOP, Family, unreachable
from downshift.boards.pins import board_pins

__all__ = ["Xilinx7"]

PROJECT = """\
# Build the bitstream for {title} ({part}): vivado -mode batch -source build.tcl
cd [file dirname [file normalize [info script]]]
create_project -force accelerator vivado -part {part}
add_files -norecurse {top}.v
add_files -fileset constrs_1 -norecurse {top}.xdc
set_property top {top} [current_fileset]
launch_runs impl_1 -to_step write_bitstream
wait_on_run impl_1
if {{[get_property PROGRESS [get_runs impl_1]] ne "100%"}} {{
  error "implementation failed; see vivado/accelerator.runs"
}}
open_run impl_1
report_utilization -file utilization.txt
report_timing_summary -file timing.txt
set slack [get_property SLACK [get_timing_paths]]
if {{$slack < 0}} {{
  error "the clock of {mhz:g} MHz is missed by $slack ns; generate for another one"
}}
file copy -force vivado/accelerator.runs/impl_1/{top}.bit {top}.bit
"""


class Xilinx7(Family):
    """Artix-7, and what is like it in a Zynq-7000."""

    name = "xilinx7"
    lock = "o_LOCKED"
    clock_buffer = "BUFG"
    cells = {}
    registers = "FD"
    costs = {
        **{f"LUT{inputs}": {"lut": 1} for inputs in range(1, 7)},
        "RAM32M": {"lut": 4},
        "RAM64M": {"lut": 4},
        "RAM32X1D": {"lut": 2},
        "RAM64X1D": {"lut": 2},
        "RAM128X1D": {"lut": 4},
        "SRL16E": {"lut": 1},
        "SRLC32E": {"lut": 1},
        "RAMB18E1": {"bram": 1},
        "RAMB36E1": {"bram": 2},
        "DSP48E1": {"dsp": 1},
    }

    def dividers(self, oscillator_hz, clock_hz):
        """Find (DIVCLK_DIVIDE, CLKFBOUT_MULT, CLKOUT0_DIVIDE) of a PLLE2_BASE.

        The phase detector runs at 19…450 MHz and the oscillator at 800…1600 MHz (Xilinx DS181,
        speed grade -1); of the exact solutions, the one with the smallest input divider and the
        fastest oscillator.

        Examples
        --------
        >>> Xilinx7().dividers(100_000_000, 80_000_000)
        (1, 16, 20)
        """
        for divide in range(1, 57):
            detector_hz = oscillator_hz / divide
            if not 19e6 <= detector_hz <= 450e6:
                continue
            for output in range(128, 0, -1):
                multiply, rest = divmod(clock_hz * output * divide, oscillator_hz)
                if not rest and 2 <= multiply <= 64 and 800e6 <= clock_hz * output <= 1600e6:
                    return divide, multiply, output
        raise unreachable(oscillator_hz, clock_hz)

    def pll(self, board, found, oscillator, clock):
        """PLLE2_BASE, its feedback inside."""
        from amaranth import Const, Signal

        divide, multiply, output = found
        feedback = Signal()
        return {
            "type": "PLLE2_BASE",
            "p_CLKIN1_PERIOD": 1e9 / board.oscillator_hz,
            "p_DIVCLK_DIVIDE": divide,
            "p_CLKFBOUT_MULT": multiply,
            "p_CLKOUT0_DIVIDE": output,
            "i_CLKIN1": oscillator,
            "i_CLKFBIN": feedback,
            "o_CLKFBOUT": feedback,
            "i_RST": Const(0),
            "i_PWRDWN": Const(0),
            "o_CLKOUT0": clock,
        }

    def constraints(self, board):
        """XDC."""
        lines = []
        for port, pin in board_pins(board, pull_up={"PULLUP": "TRUE"}).items():
            settings = " ".join(f"{name} {value}" for name, value in pin.attributes.items())
            lines.append(
                f"set_property -dict {{PACKAGE_PIN {pin.site} {settings}}} [get_ports {port}]"
            )
        period = 1e9 / board.oscillator_hz
        lines += [f"create_clock -name clk -period {period:.3f} [get_ports clk]", ""]
        return f"{TOP}.xdc", "\n".join(lines)

    def project(self, board):
        """Tcl for Vivado."""
        mhz = board.clock_hz / 1e6
        return {
            "build.tcl": PROJECT.format(title=board.title, part=board.part, top=TOP, mhz=mhz)
        }

    def synthesis(self):
        """``synth_xilinx``: Vivado has its own, this one tells what to expect."""
        return (f"synth_xilinx -family xc7 -flatten -top {TOP}",)
