"""What FPGAs are made of: the primitives that synthesis does not find well by itself."""

from dataclasses import dataclass
from typing import Any

from amaranth import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["Addition", "Dot", "Fabric", "add_levels", "ram_port"]

ONE = Const(1, 1)


def ram_port(depth, shape):
    """Signature of a port that reads one of `depth` words of `shape`, as of `BlockRam`."""
    return wiring.Signature(
        {
            "enable": Out(1),
            "address": Out(range(depth)),
            "data": In(shape),
        }
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Addition:
    """An unsigned sum, modulo the width of `o`.

    ::

        o = a + b                                      plain
        o = a + (b if select else other)               with `select`; `other` is 0 unless given
        o = (a if gate else 0) + (b if select else 0)  with `gate` and `select`
        o = a - b if negate else a + b                 with `negate`

    With `carry`, which is one bit, and without `negate`: that bit more.
    """

    o: Value
    a: Value
    b: Value
    other: Value | None = None
    select: Value | None = None
    gate: Value | None = None
    negate: Value | None = None
    carry: Value | None = None

    def __post_init__(self):
        if self.negate is not None and self.select is not None:
            raise ValueError("An addition must not both select and negate")
        if self.negate is not None and self.carry is not None:
            raise ValueError("An addition must not both carry and negate")
        if self.other is not None and self.select is None:
            raise ValueError("An addition with an other operand must have a select")
        if self.gate is not None and (self.select is None or self.other is not None):
            raise ValueError("An addition with a gate must have a select, and no other operand")

    @property
    def wraps(self) -> bool:
        """Whether a carry may be lost at the top of `o`."""
        operands = [v for v in (self.a, self.b, self.other) if v is not None]
        longest = max(len(Value.cast(operand)) for operand in operands)
        return self.negate is not None or len(Value.cast(self.o)) <= longest


def add_levels(m: Module, name: str, level: list[Signal], *, enable: Value) -> Signal:
    """Add up signed numbers by twos, with registers behind each level."""
    while len(level) > 1:
        sums = [
            Signal(signed(len(level[0]) + 1), name=f"{name}_sum_{len(level) // 2}_{k}")
            for k in range(len(level) // 2)
        ]
        with m.If(enable):
            for total, a, b in zip(sums, level[::2], level[1::2], strict=True):
                m.d.sync += total.eq(a + b)
        level = sums
    return level[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dot:
    """A dot product, and what is added to it: ``o = sum(a * b for a, b in terms) + c``."""

    o: Signal
    """A register, `latency_of` cycles after the terms."""
    terms: list[tuple[Value, Value]]
    """A power of two of them: `a` signed, of at most 18 bits, `b` unsigned, of at most 17."""
    width: int
    """Bits of a product that count."""
    c: Value
    """Joins the first product, a cycle after the terms; one of them is 0, or as small."""

    @staticmethod
    def latency_of(terms: int) -> int:
        """Cycles from terms to their sum."""
        return 2 + ceil_log2(terms)


class Fabric:
    """The primitives in portable form; a family overrides what it has something better for."""

    def lut_ram(
        self,
        m: Module,
        name: str,
        *,
        address: Value,
        data: Signal,
        write: Value,
        write_address: Value,
        write_data: Value,
    ) -> None:
        """Add a memory of 16 words of 4 bits, read in the same cycle, written at its end.

        Parameters
        ----------
        m : Module
            Gains the memory, and drives `data`.
        name : str
            Of the memory.
        address, data : Value, Signal
            Read port; 4 bits each.
        write, write_address, write_data : Value
            Write port; 1, 4 and 4 bits.
        """
        m.submodules[name] = memory = Memory(shape=4, depth=16, init=[])
        write_port = memory.write_port()
        read_port = memory.read_port(domain="comb")
        m.d.comb += [
            read_port.addr.eq(address),
            data.eq(read_port.data),
            write_port.en.eq(write),
            write_port.addr.eq(write_address),
            write_port.data.eq(write_data),
        ]

    def ram_slice(self, ram: Any) -> int:
        """Bits of the words of a `BlockRam` whose memories share registers; divides granules."""
        return ram.width

    def block_ram(
        self,
        m: Module,
        ram: Any,
        platform: Any,
        *,
        write_enable: Value,
        write_address: Value,
        write_data: Value,
        enable: Value,
        address: Value,
        output: Signal,
    ) -> None:
        """Add what a `RamSlice` is made of: memories with a register behind them.

        Parameters
        ----------
        m : Module
            Gains the memories, and drives `output`.
        ram : RamSlice
            Its parameters.
        platform
            As `elaborate` got it.
        write_enable, write_address, write_data, enable, address : Value
            What goes into the memories.
        output : Signal
            The word, two cycles later.
        """
        m.submodules.memory = memory = Memory(shape=ram.width, depth=ram.depth, init=[])
        write = memory.write_port(granularity=ram.granularity)
        read = memory.read_port()
        m.d.comb += [
            write.en.eq(write_enable),
            write.addr.eq(write_address),
            write.data.eq(write_data),
            read.en.eq(enable),
            read.addr.eq(address),
        ]
        data = Signal(ram.width, name="data", reset_less=True)
        m.d.sync += data.eq(read.data)
        m.d.comb += output.eq(data)

    def multiply(
        self, m: Module, name: str, *, o: Signal, a: Value, b: Value, enable: Value = ONE
    ) -> None:
        """Add a multiplier with registers before and behind it.

        Parameters
        ----------
        m : Module
            Gains the multiplier; `o` is its register.
        name : str
            Of the multiplier.
        o : Signal
            Two cycles later the product, whose bits beyond it are lost.
        a, b : Value
            Unsigned or signed; 18 bits at most.
        enable : Value
            Advance by one register.
        """
        factors = [
            Signal.like(Value.cast(value), name=f"{name}_{letter}", reset_less=True)
            for letter, value in (("a", a), ("b", b))
        ]
        with m.If(enable):
            m.d.sync += [factors[0].eq(a), factors[1].eq(b), o.eq(factors[0] * factors[1])]

    def multiply_add(
        self,
        m: Module,
        name: str,
        o: Signal,
        *,
        a: Value,
        b: Value,
        c: Value,
        enable: Value,
    ) -> None:
        """Add a multiplier with registers before it, and an adder with one behind it.

        Parameters
        ----------
        m : Module
            Gains the multiplier; `o` is a register.
        name : str
            Begins the names of what is added.
        o : Signal
            ``a * b + c``, signed, 32 bits: a cycle after `c`, two cycles after `a` and `b`.
        a : Value
            Signed, 16 bits.
        b : Value
            Unsigned, 16 bits.
        c : Value
            Unsigned, 16 bits.
        enable : Value
            Advance by one register.
        """
        factors = Signal(signed(16), name=f"{name}_a"), Signal(16, name=f"{name}_b")
        with m.If(enable):
            m.d.sync += [factors[0].eq(a), factors[1].eq(b), o.eq(factors[0] * factors[1] + c)]

    def add_dots(self, m: Module, name: str, dots: list[Dot], *, enable: Value) -> None:
        """Add dot products of small numbers.

        Parameters
        ----------
        m : Module
            Gains the multipliers and adders.
        name : str
            Begins the names of what is added.
        dots : list of Dot
            May share hard multipliers.
        enable : Value
            Advance by one register.
        """
        for index, dot in enumerate(dots):
            products = [
                Signal(signed(dot.width), name=f"{name}_{index}_{term}", reset_less=True)
                for term in range(len(dot.terms))
            ]
            for product, (a, b) in zip(products, dot.terms, strict=True):
                self.multiply(m, f"multiply_{product.name}", o=product, a=a, b=b, enable=enable)
            c = Signal.like(Value.cast(dot.c), name=f"{name}_{index}_c", reset_less=True)
            with m.If(enable):
                m.d.sync += c.eq(dot.c)
            joined = Signal.like(products[0], name=f"{name}_{index}_joined")
            m.d.comb += joined.eq(products[0] + c)
            products[0] = joined
            m.d.comb += dot.o.eq(add_levels(m, f"{name}_{index}", products, enable=enable))

    def add(self, m: Module, name: str, additions: list[Addition]) -> None:
        """Add combinational adders; registers should follow.

        Parameters
        ----------
        m : Module
            Gains the adders, and drives their `o`.
        name : str
            Begins the names of what is added.
        additions : list of Addition
            May share carry chains.
        """
        for item in additions:
            base = item.a if item.gate is None else Mux(item.gate, item.a, 0)
            operand = item.b
            if item.select is not None:
                operand = Mux(item.select, item.b, 0 if item.other is None else item.other)
            if item.negate is not None:
                operand = Mux(item.negate, -item.b, item.b)
            carry = 0 if item.carry is None else item.carry
            m.d.comb += item.o.eq(base + operand + carry)
