import zlib

import pytest
from amaranth.sim import Simulator

from downshift.hw.checksum import Checksum

CONTENTS = [b"\0", b"123456789", bytes(range(256)), b"\xff" * 33]


@pytest.mark.parametrize("bits", [1, 8])
@pytest.mark.parametrize("content", CONTENTS)
def test_equals_zlib(content, bits):
    dut = Checksum(bits=bits)
    cycles = 0

    async def feed(ctx, values):
        nonlocal cycles
        ctx.set(dut.i.valid, 1)
        for byte in values:
            ctx.set(dut.i.payload, byte)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        while not ctx.get(dut.i.ready):
            await ctx.tick()
            cycles += 1

    async def bench(ctx):
        # What came before `start` does not count, even a byte under way.
        await feed(ctx, b"before")
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        assert ctx.get(dut.i.ready)
        await feed(ctx, content)
        expected = zlib.crc32(content)
        assert ctx.get(dut.crc) == expected
        assert not ctx.get(dut.matches)
        await feed(ctx, expected.to_bytes(4, "little"))
        assert ctx.get(dut.matches)
        assert cycles == 3 * (dut.latency - 1)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
