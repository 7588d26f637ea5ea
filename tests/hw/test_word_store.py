# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.block_ram import BlockRam
from downshift.hw.word_store import WordStore


@pytest.mark.parametrize("word_bytes", [4, 6, 48])
def test_words_are_the_bytes_in_order(word_bytes):
    dut = WordStore(word_bytes=word_bytes, depth=5)
    rng = np.random.default_rng(0)
    content = rng.integers(0, 256, (2, 4 * word_bytes))

    async def testbench(ctx):
        for part in content:
            for address, byte in enumerate(part.tolist()):
                for name, value in (("enable", 1), ("address", address), ("data", byte)):
                    ctx.set(getattr(dut.write, name), value)
                await ctx.tick()
                ctx.set(dut.write.enable, 0)
                if rng.random() < 0.3:
                    ctx.set(dut.write.data, 0)
                    await ctx.tick()
            await ctx.tick()
            for word in range(4):
                ctx.set(dut.read.address, word)
                ctx.set(dut.read.enable, 1)
                await ctx.tick()
                ctx.set(dut.read.enable, 0)
                await ctx.tick().repeat(BlockRam.latency - 1)
                expected = part[word * word_bytes : (word + 1) * word_bytes]
                assert list(ctx.get(dut.read.data)) == expected.tolist()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
