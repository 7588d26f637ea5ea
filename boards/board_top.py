"""The whole FPGA of a board: clock, reset and the accelerator behind its pins."""

from typing import Any

from amaranth import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from downshift.boards.board import Board
from downshift.boards.clocking import Clocking
from downshift.boards.families import FAMILIES

__all__ = ["BoardTop"]


class BoardTop(wiring.Component):
    """An accelerator between the serial pins of a board.

    Parameters
    ----------
    board : Board
    core : wiring.Component
        The accelerator, with members ``rx: In(1)`` and ``tx: Out(1)``.

    Members
    -------
    clk : ``In(1)``
        The oscillator.
    rx, tx : ``In(1)``, ``Out(1)``
        The serial port, idle high; ``rx`` may change at any time.
    ... : ``Out(1)``
        By name in `Board.held_high`: 1.
    """

    def __init__(self, *, board: Board, core: Any):
        self.board = board
        self.core = core
        held = dict.fromkeys(board.held_high, Out(1))
        super().__init__({"clk": In(1), "rx": In(1), "tx": Out(1), **held})

    def elaborate(self, platform):
        """Connect clock, synchronizer and accelerator."""
        m = Module()

        family = FAMILIES[self.board.family]
        m.domains.sync = ClockDomain(async_reset=family.async_reset)
        m.submodules.clocking = clocking = Clocking(self.board)
        m.d.comb += clocking.oscillator.eq(self.clk)

        rx = Signal(init=1)
        m.submodules.rx_synchronizer = FFSynchronizer(self.rx, rx, init=1)

        m.submodules.accelerator = self.core
        m.d.comb += [self.core.rx.eq(rx), self.tx.eq(self.core.tx)]
        m.d.comb += [getattr(self, name).eq(1) for name in self.board.held_high]

        return m
