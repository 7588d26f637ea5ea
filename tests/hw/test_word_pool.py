# amaranth: UnusedElaboratable=no
from dataclasses import replace

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect
from amaranth.sim import Simulator

from downshift.hw.fetch import Fetch
from downshift.hw.fetch_layer import FetchLayer, fetch_fields
from downshift.hw.map_layout import WORD_BYTES, MapLayout
from downshift.hw.max_pool import max_pool
from downshift.hw.word_pool import PoolLayer, WordPool
from downshift.sim.block_bench import read_late

DEPTH, OUT_BASE = 512, 300


class Bench(wiring.Component):
    """A pool behind a fetch, at a memory of `content`."""

    fetch: In(FetchLayer)
    pool: In(PoolLayer)
    start: In(1)
    done: Out(1)

    def __init__(self, content):
        shape = data.ArrayLayout(8, WORD_BYTES)
        self.memory = Memory(shape=shape, depth=DEPTH, init=content)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = self.memory
        m.submodules.fetch = fetch = Fetch(segments=3, depth=DEPTH)
        m.submodules.pool = pool = WordPool(segments=3, depth=DEPTH)
        write = self.memory.write_port()
        read_late(m, self.memory, fetch.read)
        connect(m, fetch.o, pool.i)
        m.d.comb += [
            fetch.layer.eq(self.fetch),
            pool.layer.eq(self.pool),
            fetch.start.eq(self.start),
            pool.start.eq(self.start),
            self.done.eq(pool.done),
            write.addr.eq(pool.write_address),
            write.data.eq(pool.write_data),
            write.en.eq(pool.write_enable),
        ]
        return m


CASES = [
    # pack, group, channels, code width, height, size, stride
    (0, 16, 40, 8, 6, (2, 2), (2, 2)),
    (0, 16, 16, 5, 7, (3, 3), (2, 2)),
    (0, 16, 16, 8, 7, (7, 5), (1, 1)),
    (0, 8, 8, 6, 8, (2, 1), (2, 1)),
    (0, 4, 3, 8, 8, (3, 2), (1, 2)),
    (1, 16, 32, 4, 8, (2, 2), (2, 2)),
    (2, 16, 20, 2, 8, (2, 2), (2, 2)),
    (0, 16, 40, 8, 1, (1, 1), (1, 8)),  # words of one pixel, one after the other
]


@pytest.mark.parametrize(("pack", "group", "channels", "width", "height", "size", "stride"), CASES)
def test_equals_golden(pack, group, channels, width, height, size, stride):
    slots = 16 * (1 << pack) // group
    source = MapLayout(
        height=height, width=6, channels=channels, group=group, pack=pack, code_width=width,
        strip=height // slots,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << width, (height, 6, channels), np.uint8)
    expected = max_pool(codes[None], size=size, stride=stride)[0]
    rows, columns, _ = expected.shape
    if slots > 1:
        rows = source.strip // stride[0] * slots
    target = replace(source, height=rows, width=columns, strip=rows // slots)
    content = rng.integers(0, 256, (DEPTH, WORD_BYTES))
    content[: source.words] = source.encode(codes, zero_point=0)
    bench = Bench(content.tolist())
    fields = fetch_fields(
        source, kernel=size, stride=stride, padding=(0, 0, 0, 0), zero_point=0,
        out_columns=columns, rows=range(target.strip), tiles=source.groups, base=0, mode="pool",
    )  # fmt: skip
    words = []

    async def testbench(ctx):
        ctx.set(bench.fetch, fields)
        ctx.set(bench.pool, {"pack": pack, "base": OUT_BASE, "groups": target.groups})
        ctx.set(bench.start, 1)
        await ctx.tick()
        ctx.set(bench.start, 0)
        cycles = 0
        while not ctx.get(bench.done):
            await ctx.tick()
            cycles += 1
            assert cycles < 3000
        assert cycles <= target.words * size[0] * size[1] + 20
        memory = bench.memory.data
        words.extend(list(ctx.get(memory[OUT_BASE + k])) for k in range(target.words))
        after = list(ctx.get(memory[OUT_BASE + target.words]))
        assert after == content[OUT_BASE + target.words].tolist()

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    pooled = target.decode(np.array(words))
    assert np.array_equal(pooled[: len(expected)], expected)
