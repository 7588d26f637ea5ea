"""Block RAM: a memory with a register behind it."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from downshift.hw.fabric import Fabric, ram_port

__all__ = ["BlockRam"]


class BlockRam(wiring.Component):
    """Hold words; one is read and one is written in a cycle.

    A word is asked for in one cycle, in the memory's latch in the next, and at the output in the
    one after, `latency` cycles later: the register behind the memory is part of it, since a word
    takes most of a cycle to come out.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words.
    granularity : int
        Bits that are written alone; divides `width`.
    fabric : Fabric

    Members
    -------
    write_enable : ``In(width // granularity)``
    write_address, write_data : ``In(range(depth))``, ``In(width)``
    read : ``In(ram_port(depth, width))``
        A word that is read is not written in the same cycle.
    """

    latency = 2

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        granularity: int | None = None,
        fabric: Fabric | None = None,
    ):
        granularity = width if granularity is None else granularity
        if width < 1 or granularity < 1 or width % granularity:
            raise ValueError(f"Granularity must divide {width} bits, not be {granularity!r}")
        if depth < 2:
            raise ValueError(f"Depth must be at least 2, not {depth!r}")
        self.width = width
        self.depth = depth
        self.granularity = granularity
        self.fabric = fabric or Fabric()
        super().__init__(
            {
                "write_enable": In(width // granularity),
                "write_address": In(range(depth)),
                "write_data": In(width),
                "read": In(ram_port(depth, width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self.fabric.block_ram(m, self, platform)
        return m
