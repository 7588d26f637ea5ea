# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Signal
from amaranth.sim import Simulator

from downshift.hw.depthwise import DepthwiseLanes, depthwise_sums

SUM_WIDTH = 22


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
    dut = DepthwiseLanes(segments=9, sum_width=SUM_WIDTH)
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
            if ctx.get(dut.i.valid) and ctx.get(dut.i.ready) and ctx.get(dut.i.p.complete):
                completed.append(clock)
            if ctx.get(dut.o.valid):
                came.append(clock)
                got.append(list(ctx.get(dut.o.p.sums)))
                ends.append(ctx.get(dut.o.p.tags).end)
                if len(got) == count:
                    return
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for process in (begin, load, feed, watch):
        simulator.add_testbench(process)
    simulator.run()
    assert np.array_equal(np.array(got) - (1 << SUM_WIDTH - 1), np.reshape(golden, (-1, 16)))
    per_tile = out_rows * out_columns
    assert ends == [k % per_tile == per_tile - 1 for k in range(count)]
    assert came[0] - completed[2] == dut.latency
    assert min(np.diff(completed)) == max(cycles, kernel_rows) or gaps


@pytest.mark.parametrize(("sum_width", "rows"), [(22, 8), (20, 5), (18, 1)])
def test_most_rows(sum_width, rows):
    assert DepthwiseLanes.most_rows(sum_width=sum_width) == rows
    largest = 3 * rows * 128 * 255
    assert largest < 1 << Signal(sum_width - 1).shape().width
