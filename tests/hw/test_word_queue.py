# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.word_queue import WordQueue


@pytest.mark.parametrize("depth", [2, 8])
@pytest.mark.parametrize("fill", [0.3, 0.9])
def test_words_come_out_in_order(depth, fill):
    rng = np.random.default_rng(depth)
    dut = WordQueue(shape=8, depth=depth)
    held, out = [], []

    async def testbench(ctx):
        for word in range(400):
            ready, valid = rng.random() < 0.5, len(held) < depth and rng.random() < fill
            offered = bool(held) and held[0][1] <= word
            assert ctx.get(dut.o.valid) == offered
            if offered:
                assert ctx.get(dut.o.p) == held[0][0]
            ctx.set(dut.o.ready, ready)
            ctx.set(dut.i.valid, valid)
            ctx.set(dut.i.p, word & 0xFF)
            await ctx.tick()
            if offered and ready:
                out.append(held.pop(0))
            if valid:
                held.append((word & 0xFF, word + WordQueue.latency))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert len(out) > 100


@pytest.mark.parametrize("depth", [0, 1, 12])
def test_refuses(depth):
    with pytest.raises(ValueError, match=f"^Depth must be a power of two, not {depth}$"):
        WordQueue(shape=8, depth=depth)
