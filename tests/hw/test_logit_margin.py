import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.logit_margin import MARGIN_WIDTH, LogitMargin, logit_margin
from downshift.sw.policy.policies import margin

MOST = (1 << MARGIN_WIDTH) - 1
LEAST, LARGEST = -(1 << 31), (1 << 31) - 1
CASES = [
    [5, 9, -3], [9, 5, -3], [-3, 5, 9], [7, 7], [-8, -9], [0], [LEAST, LARGEST], [LARGEST, LEAST],
    [LEAST, LEAST], [LARGEST, LARGEST, 0], [MOST, 0], [MOST + 1, 0], [3, 2, 1, 0, 1, 2, 3],
    *np.random.default_rng(0).integers(-5000, 5000, (20, 10)).tolist(),
]  # fmt: skip


@pytest.mark.parametrize("gap", [0, 2])
def test_equals_golden(gap):
    dut = LogitMargin()

    async def bench(ctx):
        for logits in CASES:
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for byte in np.array(logits, "<i4").tobytes():
                ctx.set(dut.byte, byte)
                ctx.set(dut.enable, 1)
                await ctx.tick()
                ctx.set(dut.enable, 0)
                for _ in range(gap):
                    await ctx.tick()
            true = logit_margin(logits)
            for threshold in {0, 1, MOST, *(min(max(true + d, 0), MOST) for d in (-1, 0, 1))}:
                ctx.set(dut.threshold, threshold)
                await ctx.tick().repeat(LogitMargin.latency)
                assert ctx.get(dut.close) == (true < threshold), (logits, threshold)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_is_what_policies_take():
    for logits in CASES:
        if len(logits) > 1:
            assert logit_margin(logits) == int(margin(np.array(logits, np.int64)))
