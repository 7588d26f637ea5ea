"""The primitives of ECP5: LUT-RAMs and shared carry chains, instantiated."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from amaranth import Array, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from downshift.hw.fabric import Addition, Fabric, ram_port
from downshift.hw.generate import shared

__all__ = ["Ecp5Fabric"]

ZERO, ONE = Const(0, 1), Const(1, 1)

FACTOR_WIDTH = 18
"""Bits of what a MULT18X18D multiplies."""
MODES = ((18, 1 << 10), (9, 1 << 11), (4, 1 << 12), (2, 1 << 13), (1, 1 << 14), (36, 1 << 9))
"""Bits and words that a DP16KD may have."""
RAM_WIDTH = 36
"""Bits of a DP16KD at both ports."""
HALF_WIDTH = RAM_WIDTH // 2


def _truth_table(first, second):
    """Table of ``first(a, b) ^ second(b, c, d)``: whether a place propagates its carry.

    Where it does not, both operands are equal and its carry is the first; the cell takes that carry
    from the entries for c = d = 0, so that the second operand has to be 0 there.
    """
    table = 0
    for entry in range(16):
        a, b, c, d = (entry >> k & 1 for k in range(4))
        assert c or d or not second(b, c, d)
        table |= (first(a, b) ^ second(b, c, d)) << entry
    return table


GATED = _truth_table(lambda a, b: a, lambda b, c, d: b & d)
EITHER = _truth_table(lambda a, b: a, lambda b, c, d: b if d else c)
NEGATED = _truth_table(lambda a, b: a, lambda b, c, d: (b ^ c) & d)
BOTH_GATED = _truth_table(lambda a, b: a & b, lambda b, c, d: c & d)
BEGIN = 0x000A
"""With d = 1 it never propagates: the carry is `a`, the sum is the carry that came in.

nextpnr spends two cells on whatever a chain takes for its first carry, a zero among it: chains have
a place instead, behind which it does not matter.
"""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """One bit of a carry chain."""

    inputs: tuple
    """a, b, c, d."""
    table: int
    o: Value | None


class Ecp5Fabric(Fabric):
    """LUT-RAMs and carry chains of ECP5.

    Yosys takes minutes to infer thousands of small memories, and nextpnr spends four cells on the
    ends of every carry chain: here neighbouring adders share a chain, and the top bit of each sum
    ends its carry.
    """

    chain_places = 24
    """Bits after which a chain is not continued; nextpnr takes its whole length for a path."""

    def lut_ram(self, m: Module, name: str, *, address, data, write, write_address, write_data):
        """See `Fabric.lut_ram`; six look-up tables each."""
        m.submodules[name] = Instance(
            "TRELLIS_DPR16X4",
            p_WCKMUX="WCK",
            p_WREMUX="WRE",
            i_WCK=ClockSignal(),
            i_WRE=write,
            i_WAD=write_address,
            i_DI=write_data,
            i_RAD=address,
            o_DO=data,
        )

    def ram_slice(self, ram: Any) -> int:
        """See `Fabric.ram_slice`; of the width of a DP16KD at both ports."""
        if ram.near:
            return ram.width
        if ram.granularity < RAM_WIDTH:
            return RAM_WIDTH // ram.granularity * ram.granularity
        width, _ = _column_shape(ram)
        return RAM_WIDTH // width * width

    def block_ram(
        self, m: Module, ram: Any, platform: Any, *, write_enable, write_address, write_data,
        enable, address, output,
    ):  # fmt: skip
        """See `Fabric.block_ram`; as few DP16KD as one of their shapes allows."""
        column, depth = _column_shape(ram)
        banks = -(-ram.depth // depth)
        bank_of = exact_log2(depth)
        shown = ZERO
        if banks > 1:
            latched, shown = Signal(range(banks)), Signal(range(banks))
            with m.If(enable):
                m.d.sync += latched.eq(address[bank_of:])
            m.d.sync += shown.eq(latched)
        words = Array(Signal(ram.width, name=f"bank_{bank}") for bank in range(banks))
        for bank, granule in np.ndindex(banks, ram.width // ram.granularity):
            here = write_address[bank_of:] == bank if banks > 1 else ONE
            end = (granule + 1) * ram.granularity
            for first in range(end - ram.granularity, end, column):
                bits = slice(first, min(first + column, end))
                cell = _RamColumn(width=column, depth=depth)
                m.submodules[f"bank_{bank}_{first}"] = shared(cell, platform)
                m.d.comb += [
                    cell.write_enable.eq(write_enable[granule] & here),
                    cell.write_address.eq(write_address),
                    cell.write_data.eq(write_data[bits]),
                    cell.read.enable.eq(enable),
                    cell.read.address.eq(address),
                    words[bank][bits].eq(cell.read.data),
                ]
        m.d.comb += output.eq(words[shown])

    def multiply(
        self, m: Module, name: str, *, o: Signal, a: Value, b: Value, enable: Value = ONE
    ) -> None:
        """See `Fabric.multiply`; one MULT18X18D with its registers."""
        ports = {"i_CLK0": ClockSignal(), "i_CE0": enable, "i_RST0": ZERO}
        for letter, value in (("A", a), ("B", b)):
            value = Value.cast(value)
            is_signed = value.shape().signed
            if len(value) > FACTOR_WIDTH:
                raise ValueError(f"Factors have at most {FACTOR_WIDTH} bits, not {len(value)}")
            top = value[-1] if is_signed else ZERO
            for k in range(FACTOR_WIDTH):
                ports[f"i_{letter}{k}"] = value[k] if k < len(value) else top
            ports[f"i_SIGNED{letter}"] = Const(is_signed, 1)
            ports[f"i_SOURCE{letter}"] = ZERO
        for k in range(min(len(o), 2 * FACTOR_WIDTH)):
            ports[f"o_P{k}"] = Value.cast(o)[k]
        registers = {f"p_REG_{place}_CLK": "CLK0" for place in ("INPUTA", "INPUTB", "OUTPUT")}
        m.submodules[name] = Instance("MULT18X18D", **registers, **ports)

    def add(self, m: Module, name: str, additions: list[Addition]) -> None:
        """See `Fabric.add`; one look-up table a bit, and one or two a chain."""
        chains: list[list[_Place]] = []
        last: Addition | None = None
        for item in additions:
            places = _places(item)
            if not chains or len(chains[-1]) + 1 + len(places) > self.chain_places:
                chains.append([])
                last = None
            _begin(chains[-1], item, last)
            chains[-1] += places
            last = item
        for index, places in enumerate(chains):
            _add_chain(m, f"{name}_{index}", places)


def _column_shape(ram) -> tuple[int, int]:
    """Bits and words of a DP16KD, so that few of them make a memory, in few banks."""

    def cells(mode):
        width, depth = mode
        columns = -(-ram.granularity // width) * (ram.width // ram.granularity)
        banks = -(-ram.depth // depth)
        return columns * banks, banks

    return min(MODES, key=cells)


class _RamColumn(wiring.Component):
    """A DP16KD that is written at port A, and read through a register at port B.

    A word of 36 bits takes the data of both ports, lower half at A.
    """

    def __init__(self, *, width: int, depth: int):
        self.width = width
        self.depth = depth
        super().__init__(
            {
                "write_enable": In(1),
                "write_address": In(range(depth)),
                "write_data": In(width),
                "read": In(ram_port(depth, width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        unused = 14 - exact_log2(self.depth)
        # Wide modes have byte enables where others have low address bits.
        low = [ONE if k < self.width // HALF_WIDTH * 2 else ZERO for k in range(unused)]
        ports = {
            "i_CLKA": ClockSignal(), "i_CEA": ONE, "i_OCEA": ONE, "i_RSTA": ZERO,
            "i_CLKB": ClockSignal(), "i_CEB": self.read.enable, "i_OCEB": ONE,
            "i_RSTB": ZERO, "i_WEA": self.write_enable, "i_WEB": ZERO,
        }  # fmt: skip
        for k in range(14):
            index = k - unused
            ports[f"i_ADA{k}"] = low[k] if index < 0 else self.write_address[index]
            ports[f"i_ADB{k}"] = ZERO if index < 0 else self.read.address[index]
        wide = self.width > HALF_WIDTH
        for k in range(self.width):
            port, bit = "AB"[k // HALF_WIDTH], k % HALF_WIDTH
            ports[f"i_DI{port}{bit}"] = self.write_data[k]
            ports[f"o_DO{port if wide else 'B'}{bit}"] = self.read.data[k]
        m.submodules.cell = Instance(
            "DP16KD",
            p_DATA_WIDTH_A=self.width, p_DATA_WIDTH_B=self.width,
            p_REGMODE_A="OUTREG" if wide else "NOREG", p_REGMODE_B="OUTREG",
            p_WRITEMODE_A="NORMAL", p_WRITEMODE_B="NORMAL",
            p_CSDECODE_A="0b000", p_CSDECODE_B="0b000",
            p_CLKAMUX="CLKA", p_CLKBMUX="CLKB", p_GSR="DISABLED",
            **ports,
        )  # fmt: skip
        return m


def _bit(value, index):
    value = Value.cast(value)
    return value[index] if index < len(value) else ZERO


def _places(item: Addition) -> list[_Place]:
    """Bits of one addition, lowest first."""
    places = []
    for index in range(len(Value.cast(item.o))):
        a, b = _bit(item.a, index), _bit(item.b, index)
        if item.negate is not None:
            inputs, table = (a, b, item.negate, ONE), NEGATED
        elif item.gate is not None:
            inputs, table = (a, item.gate, b, item.select), BOTH_GATED
        elif item.other is not None:
            inputs, table = (a, b, _bit(item.other, index), item.select), EITHER
        else:
            inputs, table = (a, b, ZERO, ONE if item.select is None else item.select), GATED
        places.append(_Place(inputs=inputs, table=table, o=Value.cast(item.o)[index]))
    return places


def _begin(chain: list[_Place], item: Addition, last: Addition | None) -> None:
    """Let a chain that has come to the end of `last` carry into `item` what belongs there."""
    carry = item.negate if item.carry is None else item.carry
    begin = _Place(inputs=(ZERO if carry is None else carry, ZERO, ZERO, ONE), table=BEGIN, o=None)
    if last is None or last.wraps:
        chain.append(begin)
    elif carry is not None:
        chain[-1] = replace(begin, o=chain[-1].o)  # it still shows the carry of `last`


def _add_chain(m: Module, name: str, places: list[_Place]) -> None:
    """A chain of cells of two places."""
    if len(places) % 2:
        places = [*places, _Place(inputs=(ZERO, ZERO, ZERO, ONE), table=BEGIN, o=None)]
    cells = len(places) // 2
    carries = [Signal(name=f"{name}_carry_{k}") for k in range(cells - 1)]
    pairs = zip(places[::2], places[1::2], strict=True)
    for index, pair in enumerate(pairs):
        ports = {"i_CIN": carries[index - 1]} if index else {}
        if index < cells - 1:
            ports["o_COUT"] = carries[index]
        for half, place in enumerate(pair):
            ports |= {
                f"i_{letter}{half}": value
                for letter, value in zip("ABCD", place.inputs, strict=True)
            }
            ports |= {f"p_INIT{half}": Const(place.table, 16), f"p_INJECT1_{half}": "NO"}
            if place.o is not None:
                ports[f"o_S{half}"] = place.o
        m.submodules[f"{name}_{index}"] = Instance("CCU2C", **ports)
