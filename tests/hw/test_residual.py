# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from downshift.hw.map_layout import WORD_BYTES, MapLayout
from downshift.hw.residual import Residual, ResidualLayer, residual_fields
from downshift.sim.block_bench import Rom

DEPTH, BASE, DELAY = 256, 9, 3


class Bench(wiring.Component):
    """A residual at a memory of `content`, whose address is of no use unless it paused for it."""

    layer: In(ResidualLayer)
    start: In(1)
    taken: In(1)
    o: Out(data.ArrayLayout(8, 16))

    def __init__(self, content):
        self.memory = Rom(content, depth=DEPTH)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = self.memory
        m.submodules.dut = dut = Residual(depth=DEPTH, delay=DELAY)
        read = self.memory.read
        m.d.comb += [
            dut.layer.eq(self.layer),
            dut.start.eq(self.start),
            dut.taken.eq(self.taken),
            self.o.eq(dut.o),
            read.address.eq(dut.read.address),
            read.enable.eq(1),
            dut.read.data.eq(read.data),
        ]
        paused = [dut.pause]
        for _ in range(DELAY):
            paused.append(type(dut.pause)(1))
            m.d.sync += paused[-1].eq(paused[-2])
        with m.If(~paused[-1]):
            m.d.comb += read.address.eq(0)
        return m


@pytest.mark.parametrize("spacing", [4, 9])
@pytest.mark.parametrize("rows", [range(3), range(1, 3)])
@pytest.mark.parametrize(
    ("pack", "width", "channels", "group"),
    [
        (0, 8, 40, 16), (0, 6, 16, 16), (0, 2, 5, 16), (1, 4, 20, 16), (1, 2, 16, 16),
        (2, 2, 33, 16), (2, 2, 64, 32), (2, 2, 33, 32),
    ],
)  # fmt: skip
def test_codes_equal_map(pack, width, channels, group, rows, spacing):
    slots, tiles = (16 << pack) // group, -(-channels // 16)
    layout = MapLayout(
        height=3 * slots, width=4, channels=channels, code_width=width, pack=pack, group=group,
        strip=3,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << width, (layout.height, 4, channels), np.uint8)
    content = rng.integers(0, 256, (DEPTH, WORD_BYTES))
    content[BASE : BASE + layout.words] = layout.encode(codes, zero_point=0)
    padded = np.zeros((layout.height, 4, tiles * 16), np.uint8)
    padded[..., :channels] = codes
    by_slot = padded.reshape(slots, 3, 4, tiles, 16)[:, list(rows)]
    expected = by_slot.transpose(3, 1, 2, 0, 4).reshape(-1, slots, 16)
    bench = Bench(content.tolist())
    got = []

    async def testbench(ctx):
        ctx.set(bench.layer, residual_fields(layout, rows=rows, base=BASE))
        ctx.set(bench.start, 1)
        await ctx.tick()
        ctx.set(bench.start, 0)
        await ctx.tick().repeat(20)
        pixel = [True] * slots + [False] * (spacing - slots)
        taken = pixel * len(expected) + [False] * Residual.latency
        for clock, now in enumerate(taken):
            if clock >= Residual.latency and taken[clock - Residual.latency]:
                got.append(list(ctx.get(bench.o)))
            ctx.set(bench.taken, now)
            await ctx.tick()

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    used = np.arange(tiles * 16).reshape(-1, 16) < channels
    mask = np.repeat(used, len(got) // tiles, axis=0)
    assert np.array_equal(np.array(got) * mask, expected.reshape(-1, 16) * mask)


def test_nothing_without_a_residual():
    bench = Bench([[255] * 16] * DEPTH)

    async def testbench(ctx):
        ctx.set(bench.layer, {"pack": 1})
        ctx.set(bench.start, 1)
        await ctx.tick()
        ctx.set(bench.start, 0)
        ctx.set(bench.taken, 1)
        for _ in range(20):
            await ctx.tick()
            assert not any(ctx.get(bench.o))

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_refuses_narrow_words():
    layout = MapLayout(height=1, width=1, channels=3, code_width=8, pack=0, group=4, strip=1)
    with pytest.raises(
        ValueError, match=r"^Words of a residual must have 16 channels or more, not 4$"
    ):
        residual_fields(layout, rows=range(1), base=0)
