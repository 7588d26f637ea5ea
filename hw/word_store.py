"""The word store: a memory of words of any size, which the link fills from its beginning."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.block_ram import BlockRam
from downshift.hw.fabric import Fabric, ram_port
from downshift.hw.generate import shared
from downshift.hw.store import ByteWrite

__all__ = ["WordStore"]

PART = 8
"""Bytes that move up together."""


class WordStore(wiring.Component):
    """Hold words of `word_bytes` bytes, written whole.

    Bytes come in order: the one at address 0 begins, whatever the addresses of the others are. A
    word that its last byte did not reach is not written. A read in the cycle of a write to the same
    place gives either content.

    Parameters
    ----------
    word_bytes : int
    depth : int
        Words.
    fabric : Fabric

    Members
    -------
    write : ``In(ByteWrite)``
        Bytes, lowest first in their word.
    read : ``In(ram_port(depth, ArrayLayout(8, word_bytes)))``
    """

    def __init__(self, *, word_bytes: int, depth: int, fabric: Fabric | None = None):
        self.word_bytes = word_bytes
        self.depth = depth
        self.fabric = fabric or Fabric()
        super().__init__(
            {
                "write": In(ByteWrite),
                "read": In(ram_port(depth, data.ArrayLayout(8, word_bytes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ram = ram = BlockRam(
            width=8 * self.word_bytes, depth=self.depth, fabric=self.fabric
        )

        # Assemble a word: every byte moves those before it, from part to part.
        byte, place = Signal(range(self.word_bytes)), Signal(range(self.word_bytes))
        word, target = Signal(range(self.depth)), Signal(range(self.depth))
        begins, enable, byte_in = Signal(), Signal(), Signal(8, reset_less=True)
        m.d.sync += [
            begins.eq(self.write.address == 0),
            enable.eq(self.write.enable),
            byte_in.eq(self.write.data),
        ]
        complete, last = Signal(), Signal()
        held, before = [], byte_in
        for first in reversed(range(0, self.word_bytes - 1, PART)):
            part = _HeldBytes(count=min(PART, self.word_bytes - 1 - first))
            m.submodules[f"bytes_{first}"] = shared(part, platform)
            m.d.comb += [part.enable.eq(self.write.enable), part.i.eq(before)]
            held.insert(0, part.o)
            before = part.o[:8]
        with m.If(~begins):
            m.d.comb += [place.eq(byte), target.eq(word)]
        m.d.comb += complete.eq(Mux(begins, self.word_bytes == 1, last))
        with m.If(enable):
            m.d.sync += [
                byte.eq(place + 1),
                last.eq(place + 1 == self.word_bytes - 1),
                word.eq(target),
            ]
            with m.If(complete):
                m.d.sync += [byte.eq(0), last.eq(self.word_bytes == 1), word.eq(target + 1)]
        m.d.comb += [
            ram.write_address.eq(target),
            ram.write_data.eq(Cat(*held, byte_in)),
            ram.write_enable.eq(enable & complete),
        ]

        m.d.comb += [
            ram.read.enable.eq(self.read.enable),
            ram.read.address.eq(self.read.address),
            self.read.data.eq(ram.read.data),
        ]
        return m


class _HeldBytes(wiring.Component):
    """The last bytes that came, with an enable of their own; it comes a cycle before the byte."""

    def __init__(self, *, count: int):
        self.count = count
        super().__init__({"enable": In(1), "i": In(8), "o": Out(8 * count)})

    def elaborate(self, platform):
        m = Module()
        enable = Signal()
        held = Signal(8 * self.count, reset_less=True)
        m.d.sync += enable.eq(self.enable)
        with m.If(enable):
            m.d.sync += held.eq(Cat(held, self.i)[8:])
        m.d.comb += self.o.eq(held)
        return m
