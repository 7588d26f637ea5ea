"""The AXI4-Lite port, every channel at its own pace."""

from functools import partial

import numpy as np
import pytest
from amaranth import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from downshift.hw.axi_lite import OKAY, SLVERR, AxiLitePort, axi_lite_members

WORDS = 16
REFUSED = 15
"""A word that can be neither written nor read."""


class Registers(wiring.Component):
    """Words behind the port."""

    def __init__(self):
        super().__init__(axi_lite_members("", 6))

    def elaborate(self, platform):
        m = Module()
        m.submodules.port = port = AxiLitePort(address_width=6)
        for name, member in self.signature.members.items():
            inner, outer = getattr(port, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        words = Array(Signal(32, name=f"word_{k}") for k in range(WORDS))
        m.d.comb += [
            port.write_refused.eq(port.write_address == REFUSED),
            port.read_refused.eq(port.read_address == REFUSED),
            port.read_data.eq(words[port.read_address]),
        ]
        with m.If(port.write & ~port.write_refused):
            for byte in range(4):
                with m.If(port.write_strobe[byte]):
                    place = words[port.write_address].word_select(byte, 8)
                    m.d.sync += place.eq(port.write_data.word_select(byte, 8))
        return m


def accesses(writes, reads, pauses, seed):
    """Write all, then read all; responses of the writes, and data and responses of the reads."""
    dut = Registers()
    rng = np.random.default_rng(seed)

    async def pause(ctx, channel):
        while rng.random() < pauses[channel]:
            await ctx.tick()

    async def give(ctx, channel, values):
        valid, ready = getattr(dut, f"{channel}valid"), getattr(dut, f"{channel}ready")
        for fields in values:
            await pause(ctx, channel)
            for name, value in fields.items():
                ctx.set(getattr(dut, channel + name), value)
            ctx.set(valid, 1)
            await ctx.tick().until(ready)
            ctx.set(valid, 0)

    async def take_all(ctx, channel, name, count, found):
        valid, ready = getattr(dut, f"{channel}valid"), getattr(dut, f"{channel}ready")
        while len(found) < count:
            taking = rng.random() >= pauses[channel]
            ctx.set(ready, taking)
            _, _, there, value = await ctx.tick().sample(valid, getattr(dut, channel + name))
            if there and taking:
                found.append(value)
        ctx.set(ready, 0)

    written, got = [], []

    async def work(ctx):
        for _ in range(5000):
            await ctx.tick()
            if len(written) == len(writes) and len(got) == len(reads):
                return
        raise AssertionError(f"{len(written)} writes and {len(got)} reads were answered")

    async def read(ctx):
        while len(written) < len(writes):
            await ctx.tick()
        await give(ctx, "ar", [{"addr": 4 * word} for word in reads])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(work)
    aw = [{"addr": 4 * word} for word, _, _ in writes]
    w = [{"data": data, "strb": strobe} for _, data, strobe in writes]
    for process in (
        partial(give, channel="aw", values=aw),
        partial(give, channel="w", values=w),
        partial(take_all, channel="b", name="resp", count=len(writes), found=written),
        read,
        partial(take_all, channel="r", name="data", count=len(reads), found=got),
    ):
        simulator.add_testbench(process, background=True)
    simulator.run()
    return written, got


@pytest.mark.parametrize("slow", ["none", "aw", "w", "b", "ar", "r", "all"])
def test_accesses_happen_once_and_in_order(slow):
    rng = np.random.default_rng(7)
    writes = [
        (int(rng.integers(WORDS)), int(rng.integers(1 << 32)), int(rng.integers(16)))
        for _ in range(60)
    ]
    reads = [int(word) for word in rng.integers(0, WORDS, 60)]
    pauses = {
        channel: 0.7 if slow in (channel, "all") else 0.0 for channel in ("aw", "w", "b", "ar", "r")
    }
    responses, values = accesses(writes, reads, pauses, seed=1)
    words = [0] * WORDS
    for word, data, strobe in writes:
        for byte in range(4):
            mask = 0xFF << 8 * byte
            if strobe >> byte & 1 and word != REFUSED:
                words[word] = words[word] & ~mask | data & mask
    assert responses == [SLVERR if word == REFUSED else OKAY for word, _, _ in writes]
    assert values == [0 if word == REFUSED else words[word] for word in reads]
