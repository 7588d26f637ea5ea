"""From the oscillator of a board to the clock and reset of the accelerator."""

from math import ceil
from typing import Any

from amaranth import (
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib.cdc import FFSynchronizer

from downshift.boards.board import Board
from downshift.hw.errors import DownshiftError

__all__ = ["Clocking", "dividers", "ecp5_dividers", "ice40_dividers"]

SETTLING_SECONDS = 15e-6
"""Block memories of the iCE40 read as zeros for about 3 µs after configuration
(https://github.com/YosysHQ/icestorm/issues/76); five times that, as Amaranth's platforms wait."""


def dividers(board: Board) -> tuple[int, ...]:
    """Find the dividers of the PLL of `board`, none if its oscillator is its clock.

    Raises
    ------
    DownshiftError
        If no dividers give exactly the board's clock.
    """
    if board.clock_hz == board.oscillator_hz:
        return ()
    find = {"ecp5": ecp5_dividers, "ice40": ice40_dividers}[board.family]
    return find(board.oscillator_hz, board.clock_hz)


def ecp5_dividers(oscillator_hz: int, clock_hz: int) -> tuple[int, int, int]:
    """Find (reference, feedback, output) dividers of an EHXPLLL.

    The phase detector runs at 3.125…400 MHz and the oscillator at 400…800 MHz (Lattice
    FPGA-DS-02012); of the exact solutions, the one with the smallest reference divider and the
    middlemost oscillator.

    Raises
    ------
    DownshiftError
        If no dividers give exactly `clock_hz`.

    Examples
    --------
    >>> ecp5_dividers(25_000_000, 80_000_000)
    (5, 16, 7)
    """
    for reference in range(1, 129):
        feedback, rest = divmod(clock_hz * reference, oscillator_hz)
        if rest or not 1 <= feedback <= 80 or oscillator_hz < 3.125e6 * reference:
            continue
        outputs = [o for o in range(1, 129) if 400e6 <= clock_hz * o <= 800e6]
        if outputs:
            return reference, feedback, min(outputs, key=lambda o: abs(clock_hz * o - 600e6))
    raise _unreachable(oscillator_hz, clock_hz)


def ice40_dividers(oscillator_hz: int, clock_hz: int) -> tuple[int, int, int, int]:
    """Find (DIVR, DIVF, DIVQ, FILTER_RANGE) of an SB_PLL40 with simple feedback.

    The phase detector runs at 10…133 MHz and the oscillator at 533…1066 MHz (Lattice TN1251).

    Raises
    ------
    DownshiftError
        If no dividers give exactly `clock_hz`.

    Examples
    --------
    >>> ice40_dividers(12_000_000, 24_000_000)
    (0, 63, 5, 1)
    """
    for reference in range(1, 17):
        detector_hz = oscillator_hz / reference
        if not 10e6 <= detector_hz <= 133e6:
            continue
        for power in range(1, 7):
            feedback, rest = divmod((clock_hz << power) * reference, oscillator_hz)
            if not rest and 1 <= feedback <= 128 and 533e6 <= detector_hz * feedback <= 1066e6:
                filter_range = 1 + sum(detector_hz >= hz for hz in (17e6, 26e6, 44e6, 66e6, 101e6))
                return reference - 1, feedback - 1, power, filter_range
    raise _unreachable(oscillator_hz, clock_hz)


def _unreachable(oscillator_hz: int, clock_hz: int) -> DownshiftError:
    return DownshiftError(
        f"The PLL cannot make {clock_hz / 1e6:g} MHz from {oscillator_hz / 1e6:g} MHz; "
        "choose another clock"
    )


class Clocking(Elaboratable):
    """Drive the domain ``sync`` at the board's clock, once clock and memories have settled.

    Until then it is in reset; on ECP5 it stands still instead, in the state of the configuration,
    since a reset that reaches all of a large design takes longer than a cycle.

    The parent defines the domain.

    Parameters
    ----------
    board : Board

    Attributes
    ----------
    oscillator : Signal, in
        The pin of the oscillator.
    """

    def __init__(self, board: Board):
        self.board = board
        self.oscillator = Signal()

    def elaborate(self, platform):
        """Build the PLL, the reset timer and the domain."""
        m = Module()
        gated = self.board.family == "ecp5"
        domain = "ungated" if gated else "sync"
        if gated:
            m.domains.ungated = ClockDomain(reset_less=True, local=True)

        # Clock.
        pll_locked = Signal()
        found = dividers(self.board)
        if not found:
            m.d.comb += [ClockSignal(domain).eq(self.oscillator), pll_locked.eq(1)]
        else:
            pll = self._ecp5_pll if self.board.family == "ecp5" else self._ice40_pll
            clock = ClockSignal(domain)
            m.submodules.pll = Instance(**pll(*found, clock=clock), o_LOCK=pll_locked)

        # Wait.
        locked = Signal()
        m.submodules.locked = FFSynchronizer(pll_locked, locked, o_domain=domain)
        cycles = ceil(SETTLING_SECONDS * self.board.clock_hz)
        timer = Signal(range(cycles + 1), reset_less=True)
        settled = Signal(reset_less=True)
        m.d[domain] += settled.eq(timer == cycles)
        with m.If(~locked):
            m.d[domain] += timer.eq(0)
        with m.Elif(timer != cycles):
            m.d[domain] += timer.eq(timer + 1)

        # Go on.
        if gated:
            m.submodules.gate = Instance(
                "DCCA",
                i_CLKI=ClockSignal(domain),
                i_CE=settled,
                o_CLKO=ClockSignal(),
            )
            m.d.comb += ResetSignal().eq(0)
        else:
            m.d.comb += ResetSignal().eq(~settled)

        return m

    def _ecp5_pll(
        self, reference: int, feedback: int, output: int, *, clock: Value
    ) -> dict[str, Any]:
        """EHXPLLL, its feedback taken from the output; analogue settings as ecppll sets them."""
        board = self.board
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
            "i_CLKI": self.oscillator,
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

    def _ice40_pll(
        self, divr: int, divf: int, divq: int, filter_range: int, *, clock: Value
    ) -> dict[str, Any]:
        """SB_PLL40_PAD: the oscillator's pin is the pad of the PLL."""
        return {
            "type": "SB_PLL40_PAD",
            "p_FEEDBACK_PATH": "SIMPLE",
            "p_DIVR": Const(divr, 4),
            "p_DIVF": Const(divf, 7),
            "p_DIVQ": Const(divq, 3),
            "p_FILTER_RANGE": Const(filter_range, 3),
            "i_PACKAGEPIN": self.oscillator,
            "i_RESETB": Const(1),
            "i_BYPASS": Const(0),
            "o_PLLOUTGLOBAL": clock,
        }
