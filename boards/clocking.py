"""From the oscillator of a board to the clock and reset of the accelerator."""

from math import ceil

from amaranth import ClockDomain, ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.lib.cdc import FFSynchronizer

from downshift.boards.board import Board
from downshift.boards.families import FAMILIES

__all__ = ["Clocking", "dividers"]

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
    return FAMILIES[board.family].dividers(board.oscillator_hz, board.clock_hz)


class Clocking(Elaboratable):
    """Drive the domain ``sync`` at the board's clock, once clock and memories have settled.

    Until then it is in reset; where the family gates clocks, it stands still instead, in the state
    of the configuration.

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
        family = FAMILIES[self.board.family]
        domain = "ungated" if family.gated else "sync"
        if family.gated:
            m.domains.ungated = ungated = ClockDomain(reset_less=True, local=True)
            if not self.board.chip.gate_from_global:
                ungated.clk.attrs["noglobal"] = 1

        # Clock.
        pll_locked = Signal()
        found = dividers(self.board)
        if not found:
            m.d.comb += [ClockSignal(domain).eq(self.oscillator), pll_locked.eq(1)]
        else:
            clock = Signal() if family.clock_buffer else ClockSignal(domain)
            pll = family.pll(self.board, found, self.oscillator, clock)
            m.submodules.pll = Instance(**pll, **{family.lock: pll_locked})
            if family.clock_buffer:
                m.submodules.clock_buffer = Instance(
                    family.clock_buffer, i_I=clock, o_O=ClockSignal(domain)
                )

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
        if family.gated:
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
