"""Stores: memories that the link writes byte by byte and the engine reads word by word."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

__all__ = ["ActivationStore", "ByteWrite", "Store", "read_port"]


def byte_write(address_width):
    """Signature of a port that writes one byte a cycle, without a way to refuse."""
    return wiring.Signature({"enable": Out(1), "address": Out(address_width), "data": Out(8)})


def read_port(depth, shape):
    """Signature of a port that reads one of `depth` words of `shape`.

    A word comes in the cycle after it is asked for, and stays until the next one is.
    """
    return wiring.Signature({"enable": Out(1), "address": Out(range(depth)), "data": In(shape)})


ByteWrite = byte_write(24)
"""The link's write port, in bytes from the start of a store."""


class Store(wiring.Component):
    """Hold words of `word_bytes` bytes.

    Reading takes one cycle, or two if `pipelined`, and the word stays until the next read. A byte
    written in the cycle of a read takes its place: the two are never wanted at once, and one port
    is enough for both.

    Parameters
    ----------
    word_bytes : int
        A power of two.
    depth : int
        Words.
    pipelined : bool
        Give what the memory reads a register.

    Members
    -------
    write : ``In(ByteWrite)``
        Bytes, lowest first in their word.
    read : ``In(read_port(depth, ArrayLayout(8, word_bytes)))``
    advance : ``In(1)``
        What was read goes into the register.
    """

    def __init__(self, *, word_bytes: int, depth: int, pipelined: bool = False):
        self.word_bytes = word_bytes
        self.depth = depth
        self.pipelined = pipelined
        super().__init__(
            {
                "write": In(ByteWrite),
                "read": In(read_port(depth, data.ArrayLayout(8, word_bytes))),
                "advance": In(1),
            }
        )

    @staticmethod
    def latency_of(*, pipelined: bool) -> int:
        """Cycles of a read."""
        return 1 + pipelined

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=data.ArrayLayout(8, self.word_bytes), depth=self.depth, init=[]
        )
        write = memory.write_port(granularity=1)
        read = memory.read_port()

        lane = exact_log2(self.word_bytes)
        address = Signal(range(self.depth))
        m.d.comb += [
            address.eq(Mux(self.write.enable, self.write.address[lane:], self.read.address)),
            write.addr.eq(address),
            read.addr.eq(address),
            read.en.eq(self.read.enable & ~self.write.enable),
        ]
        if self.pipelined:
            held = Signal.like(read.data)
            with m.If(self.advance):
                m.d.sync += held.eq(read.data)
            m.d.comb += self.read.data.eq(held)
        else:
            m.d.comb += self.read.data.eq(read.data)
        for index in range(self.word_bytes):
            here = self.write.address[:lane] == index
            m.d.comb += [
                write.data[index].eq(self.write.data),
                write.en[index].eq(self.write.enable & here),
            ]

        return m


class ActivationStore(wiring.Component):
    """Hold activations in `lanes` banks of bytes, so that any `lanes` neighbours can be read.

    Byte address ``a`` lies in bank ``a % lanes``. A read of bytes ``a … a + lanes - 1`` takes one
    cycle at any ``a``; if `pipelined`, it takes the cycle in which it is asked for and two more,
    all with `advance`. The bytes stay until the next read. A read in the cycle of a write to the
    same place gives either content.

    Parameters
    ----------
    lanes : int
        Banks; a power of two.
    depth : int
        Bytes in all.
    pipelined : bool
        Give the addresses of the banks, and what they read, registers of their own.

    Members
    -------
    write_enable : ``In(lanes)``
        Which banks to write.
    write_address : ``In(range(depth // lanes))``
        Word, the same in all banks.
    write_data : ``In(ArrayLayout(8, lanes))``
        A byte for each bank.
    read : ``In(read_port(depth, ArrayLayout(8, lanes)))``
        `lanes` bytes from an address on; addresses wrap at the end.
    advance : ``In(1)``
        What was asked for, and what was read, goes into its register.
    """

    def __init__(self, *, lanes: int, depth: int, pipelined: bool = True):
        self.lanes = lanes
        self.depth = depth
        self.pipelined = pipelined
        super().__init__(
            {
                "write_enable": In(lanes),
                "write_address": In(range(depth // lanes)),
                "write_data": In(data.ArrayLayout(8, lanes)),
                "read": In(read_port(depth, data.ArrayLayout(8, lanes))),
                "advance": In(1),
            }
        )

    @staticmethod
    def latency_of(*, pipelined: bool) -> int:
        """Cycles of a read."""
        return 1 + 2 * pipelined

    def elaborate(self, platform):
        m = Module()
        split = exact_log2(self.lanes)

        # Banks below the first byte hold the continuation, one word further on.
        word = self.read.address[split:]
        words = len(word)
        asked = Signal(
            data.StructLayout({"enable": 1, "first": split, "word": words, "next": words})
        )
        asking = [
            asked.enable.eq(self.read.enable),
            asked.first.eq(self.read.address[:split]),
            asked.word.eq(word),
            asked.next.eq(word + 1),
        ]
        if self.pipelined:
            with m.If(self.advance):
                m.d.sync += asking
            enable = asked.enable & self.advance
        else:
            m.d.comb += asking
            enable = asked.enable

        banks = Signal(data.ArrayLayout(8, self.lanes))
        for index in range(self.lanes):
            memory = Memory(shape=8, depth=self.depth // self.lanes, init=[])
            m.submodules[f"bank_{index}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(self.write_address),
                write.data.eq(self.write_data[index]),
                write.en.eq(self.write_enable[index]),
                read.addr.eq(Mux(asked.first > index, asked.next, asked.word)),
                read.en.eq(enable),
                banks[index].eq(read.data),
            ]
        turn = Signal(split)
        with m.If(enable):
            m.d.sync += turn.eq(asked.first)
        if self.pipelined:
            held, held_turn = Signal.like(banks), Signal.like(turn)
            with m.If(self.advance):
                m.d.sync += [held.eq(banks), held_turn.eq(turn)]
            banks, turn = held, held_turn

        # Rotate the banks so that the first byte comes first.
        with m.Switch(turn):
            for amount in range(self.lanes):
                with m.Case(amount):
                    m.d.comb += [
                        self.read.data[k].eq(banks[(k + amount) % self.lanes])
                        for k in range(self.lanes)
                    ]

        return m
