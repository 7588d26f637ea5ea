import itertools
import math

import numpy as np
import pytest

from downshift.hw.errors import DownshiftError
from downshift.hw.mac import multiply_accumulate
from downshift.sim import golden
from downshift.sim.random_networks import Feature, random_codes, random_network
from downshift.sw.graph import layer_golden


def half_even(value, shift):
    """Round half to even of value / 2**shift; Python integers."""
    floor, rest = divmod(value, 1 << shift)
    return floor + (2 * rest > 1 << shift or (2 * rest == 1 << shift and floor % 2))


def convolve(layer, setting, x):
    """Accumulators of one image, int64, (height, width, channels): one product after the other."""
    top = 1 << setting.weight_width - 1
    running = [half_even(int(w), 8 - setting.weight_width) for w in layer.weight.ravel()]
    if setting.centred:  # weights of two bits, in halves of their step
        running = [2 * math.floor(int(w) / 64) + 1 if w else 0 for w in layer.weight.ravel()]
    weight = np.clip(running, -top, top - 1).reshape(layer.weight.shape)
    if layer.average:
        return np.einsum("yxi,oi->o", x.astype(int), weight[:, :, 0, 0])[None, None] + setting.bias
    height, width, channels = layer.conv_shape(x.shape)
    sums = np.zeros((height, width, channels), np.int64)
    if layer.groups > 1:  # a dense layer whose other weights are zero
        weight = np.eye(channels, dtype=int)[:, :, None, None] * weight
    for ky, kx, c in itertools.product(*map(range, (*layer.kernel, layer.in_channels))):
        for y, xx in itertools.product(range(height), range(width)):
            row = y * layer.stride[0] + ky - layer.padding[0]
            column = xx * layer.stride[1] + kx - layer.padding[2]
            inside = 0 <= row < x.shape[0] and 0 <= column < x.shape[1]
            code = int(x[row, column, c]) if inside else setting.zero_point_in
            sums[y, xx] += code * weight[:, c, ky, kx]
    return sums + setting.bias


def add(layer, setting, sums, residual):
    """Accumulators of one image with the codes of another map added."""
    shifted = (sums - setting.bias) * 2**setting.residual_shift + setting.bias
    return shifted + residual.astype(int) * setting.residual_multiplier.astype(int)


def rescale(layer, setting, sums):
    """Codes of one image."""
    codes = np.zeros(sums.shape, np.int64)
    most = (1 << setting.out_width) - 1 if setting.largest is None else setting.largest
    for place in np.ndindex(sums.shape):
        scaled = int(sums[place]) * int(setting.multiplier[place[2]])
        code = half_even(scaled, int(setting.shift[place[2]])) + setting.zero_point_out
        codes[place] = min(max(code, 0), most)
    if layer.pool is None:
        return codes
    (height, width), (step_y, step_x) = layer.pool.size, layer.pool.stride
    rows = range(0, codes.shape[0] - height + 1, step_y)
    columns = range(0, codes.shape[1] - width + 1, step_x)
    return np.array([
        [codes[y : y + height, x : x + width].max(axis=(0, 1)) for x in columns] for y in rows
    ])  # fmt: skip


FEATURES = {
    "chain": (),
    "identity": (Feature.IDENTITY,),
    "skip": (Feature.SKIP,),
    "depthwise": (Feature.DEPTHWISE,),
    "average": (Feature.AVERAGE,),
    "all": tuple(Feature),
}


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("seed", range(12))
def test_networks_equal_plain_loops(seed, features):
    rng = np.random.default_rng(seed)
    graph = random_network(rng, features=FEATURES[features], multiplier_width=(16, 24)[seed % 2])
    x = random_codes(rng, graph, 2)
    for width, index in itertools.product(graph.widths, range(2)):
        result, maps, before = golden.run(graph, x, width), {"input": x[index]}, "input"
        for layer in graph.layers:
            setting = layer.settings[width]
            sums = convolve(layer, setting, maps[layer.source or before])
            if layer.residual:
                sums = add(layer, setting, sums, maps[layer.residual])
            before = layer.name
            if layer is not graph.layers[-1]:
                maps[before] = rescale(layer, setting, sums)
                assert np.array_equal(result.codes[before][index], maps[before])
        assert np.array_equal(result.logits[index], sums.ravel())
        assert result.labels[index] == sums.argmax()


# 127 * 255 * 518 = 16,775,430 and 26 * 69 = 1,794 make 2**24 + 8; depth in places, largest sum.
@pytest.mark.parametrize("last", [66, 67, 68, 69, 70])
def test_sums_about_the_bound_of_float32_are_exact(last):
    weights = np.full((2, 519), 127, np.int8)
    weights[:, -1] = 26
    weights[1] *= -1
    acts = np.full((1, 519), 255, np.uint8)
    acts[0, -1] = last
    sums = multiply_accumulate(weights, acts)
    total = 127 * 255 * 518 + 26 * last
    assert abs(total - (1 << 24)) < 100
    assert sums.tolist() == [[total, -total]]


@pytest.mark.parametrize("depth", [129, 516, 517, 518, 519, 600, 5000])
def test_products_are_exact_on_either_side_of_the_bound(depth):
    rng = np.random.default_rng(depth)
    weights = rng.integers(-128, 128, (5, depth)).astype(np.int8)
    weights[0], weights[1] = 127, -128
    acts = rng.integers(0, 256, (3, depth)).astype(np.uint8)
    acts[0], acts[1, ::2] = 255, 255
    expected = acts.astype(np.int64) @ weights.T.astype(np.int64)
    assert np.array_equal(multiply_accumulate(weights, acts), expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_beyond_int32_are_refused(sign):
    weights = np.full((1, 66_312), 127 * sign, np.int8)
    acts = np.full((1, 66_312), 255, np.uint8)
    assert multiply_accumulate(weights[:, 1:], acts[:, 1:]) == sign * 127 * 255 * 66_311
    with pytest.raises(OverflowError, match=r"^Sums may reach 2147514120, beyond int32$"):
        multiply_accumulate(weights, acts)


@pytest.mark.parametrize("features", FEATURES)
def test_batches_do_not_matter(monkeypatch, features):
    rng = np.random.default_rng(3)
    graph = random_network(rng, features=FEATURES[features])
    x = random_codes(rng, graph, 7)
    whole = golden.run(graph, x, 8)
    monkeypatch.setattr(layer_golden, "BATCH_BYTES", 1)
    monkeypatch.setattr(golden, "LEAST", 1)
    apart = golden.run(graph, x, 8)
    assert np.array_equal(apart.logits, whole.logits)
    assert apart.codes.keys() == whole.codes.keys()
    for name, codes in whole.codes.items():
        assert np.array_equal(apart.codes[name], codes)
    bare = golden.run(graph, x, 8, keep_codes=False)
    assert (np.array_equal(bare.logits, whole.logits), bare.codes) == (True, {})
    assert golden.run(graph, x[:0], 8).logits.shape == (0, whole.logits.shape[1])


def test_inputs_that_do_not_fit_are_refused():
    graph = random_network(np.random.default_rng(0))
    shape = ", ".join(map(str, graph.input_shape))
    x = np.zeros((2, *graph.input_shape), np.uint8)
    with pytest.raises(ValueError, match=rf"^Input must be uint8 of shape \(n, {shape}\), not int"):
        golden.run(graph, x.astype(int), 8)
    with pytest.raises(ValueError, match=r"^Input must be uint8 of shape .* not uint8 of shape"):
        golden.run(graph, x[..., None], 8)
    with pytest.raises(DownshiftError, match=r"^Network random runs at widths 8, 7, 6, not 5$"):
        golden.run(graph, x, 5)
    narrow = next(w for w in graph.widths if graph.layers[0].settings[w].in_width < 8)
    with pytest.raises(ValueError, match=r"^Layer layer0 takes [2-7]-bit codes, not 255$"):
        golden.run(graph, x + np.uint8(255), narrow)
