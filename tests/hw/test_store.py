# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.store import ActivationStore, Store


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize(("word_bytes", "depth"), [(1, 2), (4, 8), (16, 4)])
def test_store_gives_back_words(word_bytes, depth, pipelined):
    dut = Store(word_bytes=word_bytes, depth=depth, pipelined=pipelined)
    content = np.random.default_rng(0).integers(0, 256, (depth, word_bytes)).tolist()

    async def bench(ctx):
        for address, byte in enumerate(np.ravel(content).tolist()):
            ctx.set(dut.write.enable, 1)
            ctx.set(dut.write.address, address)
            ctx.set(dut.write.data, byte)
            await ctx.tick()
        ctx.set(dut.write.enable, 0)
        for address in reversed(range(depth)):
            ctx.set(dut.read.enable, 1)
            ctx.set(dut.read.address, address)
            await ctx.tick()
            ctx.set(dut.read.enable, 0)
            if pipelined:
                ctx.set(dut.advance, 1)
                await ctx.tick()
                ctx.set(dut.advance, 0)
            for _ in range(2):  # the word stays
                assert list(ctx.get(dut.read.data)) == content[address]
                await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("lanes", [4, 8])
def test_activations_are_read_at_any_byte(lanes, pipelined):
    dut = ActivationStore(lanes=lanes, depth=64, pipelined=pipelined)
    content = np.random.default_rng(lanes).integers(0, 256, 64).tolist()

    async def bench(ctx):
        for address, byte in enumerate(content):
            ctx.set(dut.write_enable, 1 << address % lanes)
            ctx.set(dut.write_address, address // lanes)
            ctx.set(dut.write_data[address % lanes], byte)
            await ctx.tick()
        ctx.set(dut.write_enable, 0)
        for address in range(64):
            ctx.set(dut.read.enable, 1)
            ctx.set(dut.read.address, address)
            ctx.set(dut.advance, 1)
            await ctx.tick()
            ctx.set(dut.read.enable, 0)
            for _ in range(dut.latency_of(pipelined=pipelined) - 1):
                ctx.set(dut.advance, 0)
                for _ in range(address % 3):
                    await ctx.tick()
                ctx.set(dut.advance, 1)
                await ctx.tick()
            ctx.set(dut.advance, 0)
            for _ in range(2):  # the bytes stay
                await ctx.tick()
                assert list(ctx.get(dut.read.data)) == (content * 2)[address : address + lanes]

    simulate(dut, bench)
