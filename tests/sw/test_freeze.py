import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from downshift.hw.errors import DownshiftError
from downshift.hw.precision_switch import precision_switch
from downshift.hw.rounding import shift_half_even
from downshift.sim import golden
from downshift.sim.random_networks import Feature, random_codes, random_network
from downshift.sw.quantization.freeze import Frozen, double_rounded, freeze, rounded_shift


@pytest.mark.parametrize(("width", "centred"), [*((w, False) for w in range(1, 9)), (3, True)])
def test_double_rounding_equals_the_precision_switch(width, centred):
    codes = np.arange(-128, 128, dtype=np.int8)
    ours = double_rounded(torch.as_tensor(codes), width, centred=centred)
    assert np.array_equal(ours.numpy(), precision_switch(codes, width=width, centred=centred))


@pytest.mark.parametrize("shift", [0, 1, 2, 15, 31, 48, 62])
def test_rounding_equals_golden_around_every_tie(shift):
    half = (1 << shift) >> 1
    near = [k * half + d for k in range(-9, 10) for d in (-1, 0, 1)]
    values = np.array([v for v in near if abs(v) < 1 << 62])
    ours = rounded_shift(torch.as_tensor(values), torch.tensor(shift))
    assert np.array_equal(ours.numpy(), shift_half_even(values, shift))


@given(st.integers(-(2**49), 2**49), st.integers(0, 51))
def test_rounding_equals_golden(value, shift):
    ours = rounded_shift(torch.tensor([value]), torch.tensor(shift))
    assert ours.item() == shift_half_even([value], shift)[0]


@pytest.mark.parametrize("width", [8, 6, 4, 2])
@pytest.mark.parametrize("model", ["trained", "untrained"])
def test_frozen_is_golden_on_every_code(model, width, digits, short_training, untrained):
    model = untrained if model == "untrained" else short_training.model
    frozen = freeze(model, input_shape=(8, 8, 1))
    x = digits.test.codes
    ours = frozen(x, width)
    theirs = golden.run(frozen.graph, x.permute(0, 2, 3, 1).numpy(), width)
    assert np.array_equal(ours.logits.numpy(), theirs.logits)
    assert list(ours.codes) == list(theirs.codes) == ["conv1", "conv2"]
    for name, codes in ours.codes.items():
        assert np.array_equal(codes.permute(0, 2, 3, 1).numpy(), theirs.codes[name])
        assert codes.unique().numel() > 3  # not a comparison of zeros


@pytest.mark.parametrize("features", [(), tuple(Feature)], ids=["chain", "all"])
@pytest.mark.parametrize("seed", range(8))
def test_frozen_is_golden_on_random_networks(seed, features):
    rng = np.random.default_rng(seed)
    graph = random_network(rng, features=features, multiplier_width=(16, 24)[seed % 2])
    x = random_codes(rng, graph, 3)
    for width in graph.widths:
        ours = Frozen(graph)(torch.as_tensor(x).permute(0, 3, 1, 2), width)
        theirs = golden.run(graph, x, width)
        assert np.array_equal(ours.logits.numpy(), theirs.logits)
        for name, codes in ours.codes.items():
            assert np.array_equal(codes.permute(0, 2, 3, 1).numpy(), theirs.codes[name])


def test_pixels_are_their_own_input_codes(digits, untrained):
    frozen = freeze(untrained, input_shape=(8, 8, 1))
    assert torch.equal(frozen.quantize(digits.real(digits.test.codes)), digits.test.codes)


def test_inputs_that_do_not_fit_are_refused(untrained):
    frozen = freeze(untrained, input_shape=(8, 8, 1))
    with pytest.raises(ValueError, match=r"^Input must be uint8 of shape \(n, 1, 8, 8\), not"):
        frozen(torch.zeros(1, 8, 8, 1, dtype=torch.uint8), 8)
    with pytest.raises(DownshiftError, match=r"runs at widths 8, 6, 4, 2, not 3$"):
        frozen(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), 3)
