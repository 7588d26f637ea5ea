import pytest
import torch

from downshift.sw.training.scale_optimizer import RateScaling, ScaleAdam, ScaleRates


def rates(scaling, **kwargs):
    return ScaleRates(scaling, **{"widths": (8, 7, 6, 5, 4, 3, 2), "stored_width": 8} | kwargs)


@pytest.mark.parametrize(
    ("width", "eta"), [(8, 1), (7, 0.5), (6, 0.1), (5, 0.05), (4, 0.01), (3, 0.005), (2, 0.001)]
)
def test_scale_rates_follow_the_width(width, eta):
    def rate(scaling, *gradients):
        gradients = [torch.tensor(g) for g in gradients]
        given = rates(scaling).at(width, 2.0, gradients)
        assert given == [given[0]] * len(gradients)
        return given[0]

    assert rate(RateScaling.NONE, [0.5]) == 2
    assert rate(RateScaling.CONSTANT, [0.5]) == pytest.approx(2 * eta)
    assert rate(RateScaling.INTENT, [-0.5, 0.1], [0.0]) == pytest.approx(2 * eta * 0.75)
    assert rate(RateScaling.INTENT, [9.0]) > 0


def test_scales_stay_positive_and_widths_keep_their_moments():
    scale = torch.nn.Parameter(torch.tensor([1.0, 1e-6]))
    optimizer = ScaleAdam([scale])
    for width in (8, 2) * 50:
        scale.grad = torch.tensor([1.0, 1.0]) if width == 8 else torch.tensor([-1e6, 0.0])
        optimizer.step(width=width, rates=[0.5])
    # Equal and opposite steps, though one gradient is a million times the other.
    torch.testing.assert_close(scale.detach()[0], torch.tensor(1.0))
    assert 0 < scale[1] < 1e-6


def test_measured_rates_follow_the_gradients_of_each_scale():
    measured = rates(RateScaling.MEASURED)
    for _ in range(600):
        measured.at(8, 1.0, [torch.tensor([3.0, 4.0]), torch.tensor(1.0), None])
        at_4 = measured.at(4, 1.0, [torch.tensor([30.0, 40.0]), torch.tensor(0.5), None])
    # A tenth where gradients are ten times as large; never above that of the weights.
    assert at_4 == [pytest.approx(0.1), 1.0, 1.0]
    assert rates(RateScaling.MEASURED).at(2, 1.0, [torch.tensor(float("1e30"))])[0] > 0
