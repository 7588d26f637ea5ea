# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator
from array_bench import PAIRS, golden, random_tiles, run_array

from downshift.hw.brick import BrickArray, brick, brick_product
from downshift.hw.tile import tile_kind

TILES = [pytest.param(False, id="registers"), pytest.param(True, id="memory")]


def test_all_bricks():
    m, a, b, o = Module(), Signal(2), Signal(2), Signal(4)
    m.d.comb += o.eq(brick_product(a, b))

    async def check(ctx):
        for x in range(4):
            for y in range(4):
                ctx.set(a, x)
                ctx.set(b, y)
                assert ctx.get(o) == brick(x, y) == x * y

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


@pytest.mark.parametrize("tile_memory", TILES)
@pytest.mark.parametrize(("weight_width", "act_width"), PAIRS)
def test_equals_golden_at_every_pair_of_widths(weight_width, act_width, tile_memory):
    rng = np.random.default_rng(weight_width * 10 + act_width)
    dut = BrickArray(rows=3, lanes=2, tile_memory=tile_memory)
    shape = {"weight_width": weight_width, "act_width": act_width}
    weights, acts = random_tiles(rng, rows=3, lanes=2, tiles=3, vectors=5, **shape)
    taken, _ = run_array(dut, weights, acts, gaps=0.3, **shape)
    assert np.array_equal([list(o.sums) for o in taken], golden(weights, acts))


@pytest.mark.parametrize("tile_memory", TILES)
@pytest.mark.parametrize("gaps", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(("rows", "lanes"), [(1, 1), (2, 8), (5, 4)])
def test_shapes_and_gaps(rows, lanes, gaps, tile_memory):
    rng = np.random.default_rng(rows)
    shape = {"weight_width": 6, "act_width": 4}
    weights, acts = random_tiles(rng, rows=rows, lanes=lanes, tiles=4, vectors=3, **shape)
    dut = BrickArray(rows=rows, lanes=lanes, tile_memory=tile_memory)
    taken, _ = run_array(dut, weights, acts, gaps=gaps, **shape)
    assert np.array_equal([list(o.sums) for o in taken], golden(weights, acts))


def test_tags_travel():
    rng = np.random.default_rng(0)
    shape = {"weight_width": 4, "act_width": 8}
    weights, acts = random_tiles(rng, rows=1, lanes=2, tiles=3, vectors=2, **shape)
    taken, _ = run_array(BrickArray(rows=1, lanes=2), weights, acts, gaps=0.4, **shape)
    ends = [(o.tags.first, o.tags.last, o.tags.end) for o in taken]
    assert ends == [(1, 0, 0), (1, 0, 1), (0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)]


@pytest.mark.parametrize("tile_memory", TILES)
@pytest.mark.parametrize(("weight_width", "digits"), [(8, 4), (6, 3), (5, 3), (4, 2), (2, 1)])
def test_latency_and_throughput(weight_width, digits, tile_memory):
    rng = np.random.default_rng(0)
    dut = BrickArray(rows=1, lanes=4, tile_memory=tile_memory)
    shape = {"weight_width": weight_width, "act_width": 8}
    weights, acts = random_tiles(rng, rows=1, lanes=4, tiles=3, vectors=16, **shape)
    _, cycles = run_array(dut, weights, acts, **shape)
    assert cycles["o"][0] - cycles["i_acts"][0] == dut.latency
    assert set(np.diff(cycles["o"])) == {digits}  # no gap between tiles either
    loads = np.diff(cycles["i_weights"])[: dut.lanes - 1]
    assert set(loads) == {tile_kind(in_memory=tile_memory).load_cycles(1, digits)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 0, "lanes": 4}, "^Rows must be a positive integer, not 0$"),
        ({"rows": 4, "lanes": 3}, "^Lanes must be a power of two, not 3$"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        BrickArray(**arguments)
