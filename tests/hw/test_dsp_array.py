# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from array_bench import PAIRS, golden, random_tiles, run_array

from downshift.hw.dsp_array import DspArray
from downshift.hw.mac import codes_per_byte

SHARED = [pytest.param(True, id="pairs"), pytest.param(False, id="single")]
PIPELINED = [pytest.param(True, id="pipelined"), pytest.param(False, id="plain")]


@pytest.mark.parametrize("pairs", SHARED)
@pytest.mark.parametrize(("weight_width", "act_width"), PAIRS)
def test_equals_golden_at_every_pair_of_widths(weight_width, act_width, pairs):
    rng = np.random.default_rng(weight_width * 10 + act_width)
    dut = DspArray(rows=3, lanes=2, pairs=pairs)
    shape = {"weight_width": weight_width, "act_width": act_width}
    weights, acts = random_tiles(rng, rows=3, lanes=2, tiles=3, vectors=5, **shape)
    taken, _ = run_array(dut, weights, acts, gaps=0.3, **shape)
    assert np.array_equal([list(o.sums) for o in taken], golden(weights, acts))


@pytest.mark.parametrize("widths", [(6, 4), (2, 2)])
@pytest.mark.parametrize("gaps", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(("rows", "lanes"), [(1, 2), (2, 8), (5, 4)])
def test_shapes_and_gaps(rows, lanes, gaps, widths):
    rng = np.random.default_rng(rows)
    shape = dict(zip(("weight_width", "act_width"), widths, strict=True))
    weights, acts = random_tiles(rng, rows=rows, lanes=lanes, tiles=4, vectors=3, **shape)
    dut = DspArray(rows=rows, lanes=lanes, pipelined=rows > 1)
    taken, _ = run_array(dut, weights, acts, gaps=gaps, **shape)
    assert np.array_equal([list(o.sums) for o in taken], golden(weights, acts))


@pytest.mark.parametrize("widths", [(8, 8), (4, 4), (4, 2), (2, 2)])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16, 32])
def test_largest_sums(lanes, widths):
    weight_width, act_width = widths
    codes = lanes * codes_per_byte(act_width)
    top = 1 << (weight_width - 1)
    first = np.arange(codes) % 2 == 0  # of each pair
    weights = np.stack(
        [
            np.full(codes, -top),
            np.full(codes, top - 1),
            np.where(first, -top, top - 1),
            np.where(first, top - 1, -top),
        ]
    )[None]
    acts = np.full((1, 2, codes), (1 << act_width) - 1)
    acts[0, 1, 1::2] = 0
    shape = {"weight_width": weight_width, "act_width": act_width}
    taken, _ = run_array(DspArray(rows=4, lanes=lanes), weights, acts, **shape)
    assert np.array_equal([list(o.sums) for o in taken], golden(weights, acts))


@pytest.mark.parametrize("widths", [(4, 8), (4, 4), (2, 2)])
def test_tags_travel(widths):
    rng = np.random.default_rng(0)
    shape = dict(zip(("weight_width", "act_width"), widths, strict=True))
    weights, acts = random_tiles(rng, rows=1, lanes=2, tiles=3, vectors=2, **shape)
    taken, _ = run_array(DspArray(rows=1, lanes=2), weights, acts, gaps=0.4, **shape)
    ends = [(o.tags.first, o.tags.last, o.tags.end) for o in taken]
    assert ends == [(1, 0, 0), (1, 0, 1), (0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)]


@pytest.mark.parametrize("pipelined", PIPELINED)
@pytest.mark.parametrize(
    ("weight_width", "act_width", "steps"),
    [(8, 8, 1), (2, 8, 1), (6, 4, 2), (4, 4, 1), (2, 3, 1), (5, 2, 4), (3, 2, 2), (2, 2, 1)],
)
def test_latency_and_throughput(weight_width, act_width, steps, pipelined):
    rng = np.random.default_rng(0)
    dut = DspArray(rows=1, lanes=4, pipelined=pipelined)
    shape = {"weight_width": weight_width, "act_width": act_width}
    weights, acts = random_tiles(rng, rows=1, lanes=4, tiles=3, vectors=32, **shape)
    _, cycles = run_array(dut, weights, acts, **shape)
    pack = codes_per_byte(act_width).bit_length() - 1
    assert dut.steps_of(weight_width=weight_width, pack=pack, pairs=True) == steps
    latency = dut.latency_of(
        lanes=4, pipelined=pipelined, together=(weight_width, act_width) == (2, 2)
    )
    assert cycles["o"][0] - cycles["i_acts"][0] == latency
    assert set(np.diff(cycles["o"])) == {steps}  # no gap between tiles either


@pytest.mark.parametrize(
    ("weight_width", "act_width", "steps"), [(8, 8, 1), (4, 4, 2), (2, 3, 2), (3, 2, 4), (2, 2, 1)]
)
def test_throughput_without_pairs(weight_width, act_width, steps):
    rng = np.random.default_rng(0)
    dut = DspArray(rows=1, lanes=4, pairs=False)
    shape = {"weight_width": weight_width, "act_width": act_width}
    weights, acts = random_tiles(rng, rows=1, lanes=4, tiles=3, vectors=32, **shape)
    _, cycles = run_array(dut, weights, acts, **shape)
    assert set(np.diff(cycles["o"])) == {steps}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 0, "lanes": 4}, "^Rows must be a positive integer, not 0$"),
        ({"rows": 4, "lanes": 3}, "^Lanes must be 2, 4, 8, 16 or 32, not 3$"),
        ({"rows": 4, "lanes": 64}, "^Lanes must be 2, 4, 8, 16 or 32, not 64$"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        DspArray(**arguments)
