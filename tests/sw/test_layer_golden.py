"""One layer against plain loops over Python integers."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from downshift.hw.precision_switch import precision_switch
from downshift.hw.residual_sum import add_residual
from downshift.hw.rounding import shift_half_even
from downshift.sw.graph.integer_graph import Layer, Setting
from downshift.sw.graph.layer_golden import accumulate, run_layer


def make_layer(weight, **changes):
    parts = {"stride": (1, 1), "padding": (0, 0, 0, 0), "pool": None, "settings": {}}
    return Layer(name="layer", weight=np.asarray(weight, np.int8), **parts | changes)


def drawn(shape, seed=0, **changes):
    rng = np.random.default_rng(seed)
    return make_layer(rng.integers(-128, 128, shape), **changes)


def codes(shape, bits=8, seed=1):
    return np.random.default_rng(seed).integers(0, 1 << bits, shape).astype(np.uint8)


def depthwise_sums(layer, x, weights, zero_point):
    """One image, one product after the other."""
    height, width, channels = layer.conv_shape(x.shape)
    sums = [[[0] * channels for _ in range(width)] for _ in range(height)]
    top, _, left, _ = layer.padding
    for y, column, c in product(range(height), range(width), range(channels)):
        for ky, kx in product(*map(range, layer.kernel)):
            row, across = y * layer.stride[0] + ky - top, column * layer.stride[1] + kx - left
            inside = row in range(x.shape[0]) and across in range(x.shape[1])
            code = int(x[row, across, c]) if inside else zero_point
            sums[y][column][c] += code * int(weights[c, 0, ky, kx])
    return sums


@pytest.mark.parametrize("weight_width", [8, 5, 2])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0)])
def test_depthwise_equals_plain_loops(weight_width, stride, padding):
    layer = drawn((5, 1, 3, 4), groups=5, stride=stride, padding=padding)
    x = codes((2, 7, 6, 5), bits=6)
    sums = accumulate(layer, x, weight_width=weight_width, zero_point=9)
    weights = precision_switch(layer.weight, width=weight_width)
    assert sums.dtype == np.int32
    assert sums.tolist() == [depthwise_sums(layer, image, weights, 9) for image in x]


@pytest.mark.parametrize("weight_width", [8, 3])
def test_averages_are_exact_sums_of_all_pixels(weight_width):
    layer = drawn((4, 6, 1, 1), average=True)
    x = codes((3, 5, 7, 6))
    weights = precision_switch(layer.weight, width=weight_width)[:, :, 0, 0].tolist()
    expected = []
    for image in x:
        totals = [sum(int(code) for code in image[..., c].ravel()) for c in range(6)]
        expected.append(
            [[[sum(w * t for w, t in zip(row, totals, strict=True)) for row in weights]]]
        )
    assert accumulate(layer, x, weight_width=weight_width, zero_point=3).tolist() == expected


def test_sums_of_pixels_beyond_float32_are_exact():
    layer = make_layer(np.full((1, 3, 1, 1), 127), average=True)
    x = np.full((1, 140, 140, 3), 255, np.uint8)
    x[0, 0, 0, 0] = 254
    sums = accumulate(layer, x, weight_width=8, zero_point=0)
    assert sums.ravel().tolist() == [127 * (140 * 140 * 3 * 255 - 1)]


@pytest.mark.parametrize("shift", [0, 1, 6])
def test_a_layer_with_a_residual_equals_plain_loops(shift):
    layer = drawn((4, 3, 3, 3), stride=(2, 2), padding=(0, 1, 0, 1), residual="other")
    rng = np.random.default_rng(2)
    setting = Setting(
        weight_width=6, in_width=5, out_width=4, zero_point_in=3, zero_point_out=6,
        bias=(rng.integers(-3000, 1000, 4) << shift).astype(np.int32),
        multiplier=rng.integers(1 << 15, 1 << 16, 4).astype(np.uint16),
        shift=(24 + shift + rng.integers(0, 2, 4)).astype(np.uint8),
        residual_multiplier=(rng.integers(1, 30, 4) << shift).astype(np.uint16),
        residual_shift=shift,
    )  # fmt: skip
    x, other = codes((2, 6, 8, 3), bits=5), codes((2, 3, 4, 4), bits=8)
    sums = accumulate(layer, x, weight_width=6, zero_point=3)
    factors, biases = setting.residual_multiplier.tolist(), setting.bias.tolist()
    result = run_layer(layer, setting, x, other)
    for place in np.ndindex(other.shape):
        c = place[3]
        total = int(sums[place]) * 2**shift + int(other[place]) * factors[c]
        scaled = (total + biases[c]) * int(setting.multiplier[c])
        code = int(shift_half_even(scaled, int(setting.shift[c]))) + 6
        assert result[place] == min(max(code, 0), 15)
    assert len(np.unique(result)) > 12
    assert (result != run_layer(layer, setting, x, np.zeros_like(other))).any()


def test_logits_take_no_rescaling():
    layer = make_layer([[[[1]], [[-2]]]], average=True)
    numbers = np.array([7])
    setting = Setting(
        weight_width=8, in_width=8, out_width=32, zero_point_in=0, zero_point_out=0,
        bias=numbers.astype(np.int32), multiplier=0 * numbers, shift=0 * numbers,
    )  # fmt: skip
    x = np.uint8([[[[1, 2], [3, 4]]]])
    assert run_layer(layer, setting, x).tolist() == [[[[1 + 3 - 2 * (2 + 4) + 7]]]]


@pytest.mark.parametrize("multiplier", [1, 2])
def test_residuals_beyond_int32_are_refused(multiplier):
    acc, residual = np.int32([(1 << 25) - 2]), np.uint8([64 + 62 * multiplier])
    most = (((1 << 25) - 2) << 6) + int(residual[0]) * multiplier
    if multiplier == 1:
        assert most < 1 << 31
        assert add_residual(acc, residual, multiplier=multiplier, shift=6).tolist() == [most]
    else:
        with pytest.raises(OverflowError, match=rf"^Sums may reach {most}, beyond int32$"):
            add_residual(acc, residual, multiplier=multiplier, shift=6)


def test_depthwise_sums_beyond_int32_are_refused():
    layer = make_layer(np.full((2, 1, 300, 300), 127), groups=2)
    x = np.zeros((1, 300, 300, 2), np.uint8)
    with pytest.raises(OverflowError, match=r"^Sums may reach 2743200000, beyond int32$"):
        accumulate(layer, x, weight_width=8, zero_point=240)
    assert accumulate(layer, x, weight_width=8, zero_point=180).tolist() == [[[[0, 0]]]]


def test_no_images_give_no_sums():
    layer = drawn((5, 1, 3, 3), groups=5)
    x = codes((0, 7, 6, 5))
    assert accumulate(layer, x, weight_width=8, zero_point=0).shape == (0, 5, 4, 5)
    whole = replace(layer, weight=codes((2, 5, 1, 1), 7).astype(np.int8), groups=1, average=True)
    assert accumulate(whole, x, weight_width=8, zero_point=0).shape == (0, 1, 1, 2)
