"""Block RAM: a memory with registers around it."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from downshift.hw.fabric import Fabric, ram_port
from downshift.hw.generate import shared
from downshift.hw.registers import registered

__all__ = ["BlockRam", "RamSlice"]


class BlockRam(wiring.Component):
    """Hold words; one is read and one is written in a cycle.

    ::

        address ─► register ─┬─► slice ─┬─► data
                             └─► slice ─┘

    A word that is asked for is at the output `latency` cycles later, and stays until the next one
    is. Memories are far apart, and a word takes most of a cycle to come out: so there is a register
    before all of them, one before and one after those of each slice of the word, and one that is
    part of the memory.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words.
    granularity : int
        Bits that are written alone; divides `width`.
    near : bool
        Whether what reads is next to it: there are no registers but those of the memory, and a word
        comes `near_latency` cycles later.
    fabric : Fabric

    Members
    -------
    write_enable : ``In(width // granularity)``
    write_address, write_data : ``In(range(depth))``, ``In(width)``
    read : ``In(ram_port(depth, width))``
        A word that is read is not written in the same cycle.
    """

    latency = 5
    near_latency = 2

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        granularity: int | None = None,
        near: bool = False,
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
        self.near = near
        self.fabric = fabric or Fabric()
        super().__init__(_ports(width, depth, granularity))

    def elaborate(self, platform):
        m = Module()
        inputs = _inputs(self)
        if not self.near:
            inputs = registered(m, inputs, reset=("write_enable", "enable"))

        slice_width = self.fabric.ram_slice(self)
        for first in range(0, self.width, slice_width):
            bits = slice(first, min(first + slice_width, self.width))
            width = bits.stop - first
            part = RamSlice(
                width=width,
                depth=self.depth,
                granularity=min(self.granularity, width),
                near=self.near,
                fabric=self.fabric,
            )
            m.submodules[f"slice_{first}"] = shared(part, platform)
            granule = first // self.granularity
            m.d.comb += [
                part.write_enable.eq(inputs["write_enable"][granule:]),
                part.write_address.eq(inputs["write_address"]),
                part.write_data.eq(inputs["write_data"][bits]),
                part.read.enable.eq(inputs["enable"]),
                part.read.address.eq(inputs["address"]),
                self.read.data[bits].eq(part.read.data),
            ]
        return m


class RamSlice(wiring.Component):
    """Bits of the words of a `BlockRam`, in memories next to each other.

    Parameters and members are as of `BlockRam`; a word comes a cycle earlier unless `near`.
    """

    def __init__(self, *, width: int, depth: int, granularity: int, near: bool, fabric: Fabric):
        self.width = width
        self.depth = depth
        self.granularity = granularity
        self.near = near
        self.fabric = fabric
        super().__init__(_ports(width, depth, granularity))

    def elaborate(self, platform):
        m = Module()
        inputs = _inputs(self)
        output = Signal(self.width)
        if self.near:
            m.d.comb += self.read.data.eq(output)
        else:
            inputs = registered(m, inputs, reset=("write_enable", "enable"))
            last = Signal(self.width, reset_less=True)
            m.d.sync += last.eq(output)
            m.d.comb += self.read.data.eq(last)
        self.fabric.block_ram(m, self, platform, output=output, **inputs)
        return m


def _ports(width, depth, granularity):
    return {
        "write_enable": In(width // granularity),
        "write_address": In(range(depth)),
        "write_data": In(width),
        "read": In(ram_port(depth, width)),
    }


def _inputs(ram):
    names = ("write_enable", "write_address", "write_data")
    return {name: getattr(ram, name) for name in names} | {
        "enable": ram.read.enable,
        "address": ram.read.address,
    }
