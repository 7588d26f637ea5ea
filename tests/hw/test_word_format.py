# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.map_layout import MapLayout
from downshift.hw.table import LAYOUTS
from downshift.hw.word_format import WordFormat, format_words

WIDTHS = {0: (8, 6, 4, 2), 1: (4, 2), 2: (2,)}
CASES = [
    (pack, group, width) for pack in LAYOUTS for group in LAYOUTS[pack] for width in WIDTHS[pack]
]


@pytest.mark.parametrize(("pack", "group", "width"), CASES)
def test_equals_golden(pack, group, width):
    layout = MapLayout(
        height=1, width=1, channels=16, group=group, pack=pack, code_width=width, strip=1
    )
    codes = np.random.default_rng(0).integers(0, 1 << width, (6, 16), np.uint8)
    words = max(1, 16 // group)
    dut = WordFormat()
    taken = []

    async def testbench(ctx):
        ctx.set(dut.pack, pack)
        ctx.set(dut.group, (group // 4).bit_length() - 1)
        ctx.set(dut.spare, ((8 >> pack) - width) // 2)
        await ctx.tick().repeat(2)
        for clock in range(len(codes) * words + dut.latency):
            if clock >= dut.latency:
                taken.append(list(ctx.get(dut.o)))
            pixel, index = divmod(clock, words)
            ctx.set(dut.load, index == 0)
            ctx.set(dut.i, codes[pixel % len(codes)].tolist() if index == 0 else [0] * 16)
            ctx.set(dut.index, index)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    expected = np.concatenate([format_words(row, layout) for row in codes])
    assert np.array_equal(taken, expected.reshape(-1, 16))
