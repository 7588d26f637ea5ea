from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.search.sensitivity import Roulette, Threshold, sensitive_layers
from downshift.sw.search.traces import Curvature, layer_traces


def small_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3, stride=3), nn.Tanh(), nn.Flatten(), nn.Linear(8, 10))


def exact_traces(model, images, labels):
    """Mean diagonal entry of each layer's Hessian, by differentiating twice."""
    found = {}
    for path in ("0", "3"):
        weight = model.get_parameter(f"{path}.weight")

        def loss(value, path=path):
            logits = torch.func.functional_call(model, {f"{path}.weight": value}, (images,))
            return nn.functional.cross_entropy(logits, labels)

        n = weight.numel()
        hessian = torch.autograd.functional.hessian(loss, weight.detach()).reshape(n, n)
        found[path] = float(hessian.diagonal().mean())
    return found


def test_traces_are_those_of_the_hessian(digits):
    model = small_model()
    # One batch holds all images, so that probes differ by their signs alone.
    one = replace(digits, train=digits.train.take(1))
    expected = exact_traces(model, one.real(one.train.codes), one.train.labels)
    traces = layer_traces(model, one, probes=4000, batch_size=1)
    for path, trace in traces.items():
        assert abs(trace.value - expected[path]) < 4 * trace.standard_error
        assert 0 < trace.standard_error < 0.1 * abs(expected[path])


@pytest.mark.parametrize("reconstructs", [False, True])
def test_a_linear_network_has_the_same_gauss_newton_matrix(digits, reconstructs):
    images = digits.reconstruction() if reconstructs else digits
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, images.classes))
    hessian, gauss_newton = (
        layer_traces(model, images, probes=3, curvature=curvature)["1"] for curvature in Curvature
    )
    assert hessian.value == pytest.approx(gauss_newton.value, rel=1e-4)


def test_probes_end_when_the_error_is_small(digits):
    model = small_model()
    whole = layer_traces(model, digits, probes=40)
    early = layer_traces(model, digits, probes=40, relative_error=1.0)
    assert {trace.probes for trace in whole.values()} == {40}
    assert {trace.probes for trace in early.values()} == {10}
    with pytest.raises(DownshiftError, match=r"^Probes must be at least 2, not 1$"):
        layer_traces(model, digits, probes=1)
    model[0].weight.data.fill_(float("nan"))
    with pytest.raises(DownshiftError, match=r"^A trace is no number; train the network before"):
        layer_traces(model, digits, probes=2)


PAPER = (
    0.0312, 0.00546, 0.0454, 0.00874, 0.0635, 0.0137, 0.0447, 0.00096, 0.0155, 0.00457, 0.0128,
    0.00755, 0.0161, 0.00229, 0.00628, 0.00358, 0.00411, 0.0,
)  # fmt: skip
"""Of ResNet-20's inner layers, as published with arXiv 2502.01199."""


def test_thresholds_find_the_sensitive_layers():
    traces = {f"conv{index}": value for index, value in enumerate(PAPER)}
    assert sensitive_layers(traces) == {f"conv{k}" for k in (0, 2, 4, 6, 12)}
    largest = sensitive_layers(traces, Threshold.TOP_MEAN, top=10)
    assert largest == {f"conv{k}" for k in (0, 2, 4, 6)}
    assert len(sensitive_layers(traces, Threshold.QUANTILE, quantile=0.5)) == 9
    assert sensitive_layers(dict.fromkeys("abc", 0.0)) == set()


def test_roulettes_have_the_mean_they_are_tilted_to():
    plain = Roulette.spun((8, 6, 4, 2), share=0.0)
    assert plain.chances[True].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert plain.chances[False].tolist() == pytest.approx([0.25] * 4)
    for share, bits in ((0.0, 2.5), (0.3, 3.0), (1.0, 7.5)):
        tilted = Roulette.spun((8, 6, 4, 2), share=share, average_bits=bits)
        assert tilted.mean(share=share) == pytest.approx(bits)
    rng = np.random.default_rng(0)
    drawn = [tilted.draw(rng, sensitive=True) for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(7.5, abs=0.1)
    with pytest.raises(DownshiftError, match=r"^Average bits must be between 2 and 8, not 8.5$"):
        Roulette.spun((8, 2), share=0.5, average_bits=8.5)
