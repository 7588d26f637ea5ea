# amaranth: UnusedElaboratable=no
from collections import deque

import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.code_groups import code_groups
from downshift.hw.lanes import Lanes, depthwise_sums
from downshift.hw.lanes_layer import MOST_ROWS
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.slot_row import lane_width
from downshift.hw.table_row import table_sum_width
from downshift.hw.word_chains import CHAIN

SUM_WIDTH = 22


def simulate(dut, *processes):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for process in processes:
        simulator.add_testbench(process)
    simulator.run()


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize(
    ("kernel_rows", "stride", "rows", "columns", "cycles"),
    [
        (3, (1, 1), 5, 7, 1),
        (3, (2, 2), 7, 9, 1),
        (1, (1, 3), 3, 9, 1),
        (8, (1, 2), 9, 5, 1),
        (3, (1, 1), 4, 3, 6),
    ],
)
def test_equals_golden(kernel_rows, stride, rows, columns, cycles, gaps):
    rng = np.random.default_rng(0)
    tiles = 3
    weights = rng.integers(-128, 128, (tiles, 16, kernel_rows, 3))
    weights[0] = -128
    words = rng.integers(0, 256, (tiles, rows, columns, 16))
    words[0] = 255
    golden = [depthwise_sums(w, k, stride=stride) for w, k in zip(words, weights, strict=True)]
    out_rows, out_columns = golden[0].shape[:2]
    used = (out_columns - 1) * stride[1] + 3
    dut = Lanes(segments=9, sum_width=SUM_WIDTH)
    got, ends, completed, came = [], [], [], []
    count = tiles * out_rows * out_columns

    async def begin(ctx):
        ctx.set(
            dut.layer,
            {"last_row": kernel_rows - 1, "last_column": used - 1, "stride": stride[1] - 1,
             "cycles": cycles},
        )  # fmt: skip
        ctx.set(dut.go_on, 1)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)

    async def load(ctx):
        await ctx.tick().repeat(2)
        for tile in range(tiles):
            for row in range(kernel_rows):
                while rng.random() < gaps:
                    await ctx.tick()
                ctx.set(dut.i_weights.p, (weights[tile, :, row] & 0xFF).tolist())
                ctx.set(dut.i_weights.valid, 1)
                await ctx.tick().until(dut.i_weights.ready)
                ctx.set(dut.i_weights.valid, 0)

    async def feed(ctx):
        await ctx.tick().repeat(2)
        for tile, y, x, ky in np.ndindex(tiles, out_rows, used, kernel_rows):
            while rng.random() < gaps:
                await ctx.tick()
            end = (y, x) == (out_rows - 1, used - 1)
            word = words[tile, y * stride[0] + ky, x].tolist()
            tags = {"first": 1, "last": 1, "end": end}
            complete = ky == kernel_rows - 1
            ctx.set(dut.i.p, {"word": word, "chain": 0, "complete": complete, "tags": tags})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def watch(ctx):
        for clock in range(40 * count * kernel_rows + 200):
            if got and not ctx.get(dut.o.valid):
                assert list(ctx.get(dut.o.p.sums)) == got[-1], "sums do not stay in force"
            if ctx.get(dut.i.valid) and ctx.get(dut.i.ready) and ctx.get(dut.i.p.complete):
                completed.append(clock)
            if ctx.get(dut.o.valid):
                came.append(clock)
                got.append(list(ctx.get(dut.o.p.sums)))
                ends.append(ctx.get(dut.o.p.tags).end)
                if len(got) == count:
                    return
            await ctx.tick()

    simulate(dut, begin, load, feed, watch)
    assert np.array_equal(np.array(got) - (1 << SUM_WIDTH - 1), np.reshape(golden, (-1, 16)))
    per_tile = out_rows * out_columns
    assert ends == [k % per_tile == per_tile - 1 for k in range(count)]
    assert came[0] - completed[2] == dut.latency
    apart = min(np.diff(came))
    row = kernel_rows * (stride[1] if out_columns > 1 else used)
    assert apart >= cycles if gaps else apart == max(cycles, row)


@pytest.mark.parametrize("segments", [3, 6])
@pytest.mark.parametrize("words", [(6, 6, 2), (1,), (3,), (6,) * 14])
def test_dense_equals_golden(words, segments):
    rng = np.random.default_rng(0)
    words = tuple(min(count, segments) for count in words)
    tiles = 4
    groups = [code_groups(count) for count in words]
    weights = [rng.integers(-128, 128, (tiles, len(g), 16, 3)) for g in groups]
    codes = [rng.integers(0, 256, (count, 16)) for count in words]
    for w, c in zip(weights, codes, strict=True):
        w[0], c[:] = -128, 255 - c // 8  # as large as sums become, in the first tile
    sum_width = lane_width(table_sum_width(segments))
    dut = Lanes(segments=segments, sum_width=sum_width)
    golden = []
    for tile, vector in np.ndindex(tiles, len(words)):
        met = [[place and codes[vector][place] for place in group] for group in groups[vector]]
        absent = [[place is None for place in group] for group in met]
        weights[vector][tile].swapaxes(1, 2)[np.array(absent)] = 0
        met = np.where(absent, 0, met).astype(int)
        golden.append(np.einsum("gk,grk->r", met, weights[vector][tile]))
    got, tags, goes = [], [], []

    async def begin(ctx):
        ctx.set(dut.layer, {"dense": 1})
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)

    async def load(ctx):
        await ctx.tick().repeat(2)
        vectors = [weights[v][tile] for tile, v in np.ndindex(tiles, len(words))]
        coming = deque([None] * 9)
        reading, room = [], False
        while vectors or reading or any(word is not None for word in coming):
            begun = bool(room and vectors and not reading)
            if begun:
                reading = list(vectors.pop(0))
            room = ctx.get(dut.asks) and not begun
            coming.append(reading.pop(0) if reading else None)
            word = coming.popleft()
            ctx.set(dut.begun, begun)
            ctx.set(dut.i_weights.valid, word is not None)
            if word is not None:
                ctx.set(dut.i_weights.p, (word & 0xFF).tolist())
            await ctx.tick()

    async def feed(ctx):
        await ctx.tick().repeat(9)
        for _, vector in np.ndindex(tiles, len(words)):
            for k, word in enumerate(codes[vector].tolist()):
                tags = {
                    "first": vector == 0,
                    "last": vector == len(words) - 1,
                    "end": 1,
                }
                complete = k == len(codes[vector]) - 1
                ctx.set(dut.i.p, {"word": word, "chain": 0, "complete": complete, "tags": tags})
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)

    async def watch(ctx):
        waits = 20
        for clock in range(4000):
            ctx.set(dut.go_on, waits == 1)
            if waits == 1:
                goes.append(clock)
            waits -= waits > 0
            if ctx.get(dut.o.valid):
                got.append(list(ctx.get(dut.o.p.sums)))
                came = ctx.get(dut.o.p.tags)
                tags.append((came.first, came.last, came.end))
                if came.first and tags[:-1]:
                    assert clock - goes[-1] > Lanes.latency + 2
                if came.last:
                    waits = 30
                if len(got) == len(golden):
                    return
            await ctx.tick()

    simulate(dut, begin, load, feed, watch)
    assert np.array_equal(np.array(got) - (1 << sum_width - 1), golden)
    last = len(words) - 1
    assert tags == [(v == 0, v == last, 1) for _, v in np.ndindex(tiles, len(words))]


@pytest.mark.parametrize("segments", range(3, 25, 3))
def test_sums_have_room(segments):
    half = 1 << lane_width(table_sum_width(segments)) - 1
    assert max(CHAIN * MOST_ROWS, WORD_BYTES * segments) * 128 * 255 < half
