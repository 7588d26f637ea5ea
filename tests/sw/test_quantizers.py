import numpy as np
import pytest
import torch
from brevitas.nn import QuantConv2d, QuantLinear, QuantReLU

from downshift.hw.errors import DownshiftError
from downshift.hw.precision_switch import precision_switch
from downshift.sw.quantization.activation_quantizer import (
    ActivationQuantizer,
    least_squares_range,
    least_squares_scale,
)
from downshift.sw.quantization.double_rounding import DoubleRounding
from downshift.sw.quantization.quantizers import (
    LogitWeights,
    PinnedWeights,
    SwitchableActivations,
    SwitchableWeights,
)

PAIRS = [(low, high) for high in range(2, 9) for low in range(1, high + 1)]


def quantizer(weight, scale, *, width, stored_width=8, per_channel=True):
    module = DoubleRounding([weight], per_channel, stored_width).to(weight.dtype)
    module.scale.data = scale.clone()
    module.select(width)
    return module


@pytest.mark.parametrize(("low", "high"), PAIRS)
def test_double_rounding_is_the_precision_switch_on_every_code(low, high):
    codes = torch.arange(-(1 << (high - 1)), 1 << (high - 1))
    # Beyond the range, and off the grid: what training meets.
    weight = torch.cat([codes, codes * 1.5, codes + 0.4])[None].double()
    scale = torch.full((1, 1), 0.03, dtype=torch.float64)
    module = quantizer(weight * scale, scale, width=low, stored_width=high)
    values, step, _, width = module(weight * scale)
    stored = module.codes(weight * scale)
    expected = precision_switch(stored.numpy(), width=low, stored_width=high)
    assert np.array_equal((values / step).detach().round().numpy(), expected)
    assert width == low
    assert torch.equal(step, scale * 2 ** (high - low))


def limits(width):
    return (-1, 1) if width == 1 else (-(1 << (width - 1)), (1 << (width - 1)) - 1)


def straight_through(weight, scale, *, width, stored_width=8):
    """The composition that autograd can follow, roundings bridged by detach."""
    low, high = limits(width)
    drop = stored_width - width
    stored = (weight / scale).round().clamp(-(1 << (stored_width - 1)), (1 << stored_width - 1) - 1)
    codes = (stored / 2**drop).round().clamp(low, high)
    if width == 1:
        codes = torch.where(stored < 0, -1.0, 1.0)
    ramp = (weight / (scale * 2**drop)).clamp(low, high)
    return (ramp + (codes - ramp).detach()) * scale * 2**drop


@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("per_channel", [True, False])
def test_gradients_are_those_of_the_straight_through_composition(width, per_channel):
    generator = torch.Generator().manual_seed(width)
    weight = torch.randn(5, 3, 3, 3, generator=generator, dtype=torch.float64).requires_grad_()
    out_grad = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    scale = torch.linspace(0.005, 0.03, 5, dtype=torch.float64).view(5, 1, 1, 1)
    scale = scale if per_channel else scale[2].view(())
    module = quantizer(weight.detach(), scale, width=width, per_channel=per_channel)
    ours = torch.autograd.grad(module(weight)[0], [weight, module.scale], out_grad)
    reference_scale = scale.clone().requires_grad_()
    value = straight_through(weight, reference_scale, width=width)
    theirs = torch.autograd.grad(value, [weight, reference_scale], out_grad)
    n = 27 if per_channel else 135
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1] / (n * limits(width)[1]) ** 0.5)


@pytest.mark.parametrize("stored_width", range(3, 9))
def test_centred_weights_are_the_precision_switch_on_every_code(stored_width):
    codes = torch.arange(-(1 << (stored_width - 1)), 1 << (stored_width - 1))
    weight = torch.cat([codes, codes * 1.5, codes + 0.4])[None].double() * 0.03
    module = DoubleRounding([weight], True, stored_width, centred=True).double()
    module.scale.data = torch.full((1, 1), 0.03, dtype=torch.float64)
    for width in (stored_width, 2):
        module.select(width)
        plain = quantizer(weight, module.scale.data, width=width, stored_width=stored_width)
        values, step, _, running = module(weight)
        if width > 2:
            assert torch.equal(values, plain(weight)[0])
            continue
        stored = module.codes(weight)
        expected = precision_switch(
            stored.numpy(), width=3, stored_width=stored_width, centred=True
        )
        assert np.array_equal((values / step).detach().round().numpy(), expected)
        assert running == 3 and module.is_centred
        assert torch.equal(step, plain.running_scale / 2)


@pytest.mark.parametrize("per_channel", [True, False])
def test_gradients_of_centred_weights_are_those_of_the_straight_through_composition(per_channel):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 27, generator=generator, dtype=torch.float64).requires_grad_()
    out_grad = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    scale = torch.linspace(0.005, 0.03, 5, dtype=torch.float64).view(5, 1)
    scale = (scale if per_channel else scale[2].view(())).requires_grad_()
    module = DoubleRounding([weight], per_channel, centred=True).double()
    module.scale.data = scale.detach().clone()
    module.select(2)
    ours = torch.autograd.grad(module(weight)[0], [weight, module.scale], out_grad)
    stored = (weight / scale).round().clamp(-128, 127)
    codes = torch.where(stored == 0, 0, (stored / 64).floor() + 0.5)
    ramp = (weight / (scale * 64)).clamp(-2, 2)
    value = (ramp + (codes - ramp).detach()) * scale * 64
    theirs = torch.autograd.grad(value, [weight, scale], out_grad)
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1] / ((27 if per_channel else 135) * 2) ** 0.5)


@pytest.mark.parametrize("width", [8, 4, 2])
def test_the_papers_gradient_is_one_sum_for_all_channels(width):
    generator = torch.Generator().manual_seed(width)
    weight, grad = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    scale = torch.linspace(0.01, 0.03, 3, dtype=torch.float64).view(3, 1).requires_grad_()
    module = DoubleRounding([weight], per_channel=True, compat="paper").double()
    module.scale.data = scale.detach()
    module.select(width)
    module(weight)[0].backward(grad)
    low, high = limits(width)
    x = weight / (scale.detach() * 2 ** (8 - width))
    # LSQ of one rounding, in units of the running step.
    residual = torch.where((x >= low) & (x <= high), x.round() - x, x.clamp(low, high))
    total = (residual * grad).sum() / (12 * high) ** 0.5
    torch.testing.assert_close(module.scale.grad, total.expand(3, 1))


@pytest.mark.parametrize("width", [8, 4, 2])
def test_activation_gradients_are_those_of_lsq(width):
    x = torch.linspace(-1, 4, 999, dtype=torch.float64).requires_grad_()
    out_grad = torch.sin(x.detach() * 9)
    module = ActivationQuantizer((width,)).double()
    module.scale.data[:] = 2.5 / ((1 << width) - 1)
    ours = torch.autograd.grad(module(x)[0], [x, module.scale], out_grad)
    scale, top = module.scale.detach().clone().requires_grad_(), (1 << width) - 1
    ramp = (x / scale).clamp(0, top)
    value = (ramp + (ramp.round() - ramp).detach()) * scale
    theirs = torch.autograd.grad(value, [x, scale], out_grad)
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1] / (999 * top) ** 0.5)


@pytest.mark.parametrize("width", [8, 4, 2])
@pytest.mark.parametrize("zero", [0.0, 0.3, 0.71, 1.0])
def test_gradients_with_a_zero_point_are_those_of_the_straight_through_composition(width, zero):
    x = torch.linspace(-3.01, 4, 999, dtype=torch.float64).requires_grad_()
    out_grad = torch.sin(x.detach() * 9)
    module = ActivationQuantizer((width,), offset=True).double()
    top = (1 << width) - 1
    module.scale.data[:] = 4.5 / top
    module.zero.data[:] = zero
    ours = torch.autograd.grad(module(x)[0], [x, module.scale, module.zero], out_grad)
    scale = module.scale.detach().clone().requires_grad_()
    place = module.zero.detach().clone().requires_grad_()
    zero_point = place * top
    zero_point = zero_point + (zero_point.round() - zero_point).detach()
    assert zero_point.item() == module.zero_point
    ramp = torch.minimum(torch.maximum(x / scale, -zero_point), top - zero_point)
    value = (ramp + (ramp.round() - ramp).detach()) * scale
    torch.testing.assert_close(module(x)[0], value)
    theirs = torch.autograd.grad(value, [x, scale, place], out_grad)
    torch.testing.assert_close(ours[0], theirs[0])
    for mine, reference in zip(ours[1:], theirs[1:], strict=True):
        torch.testing.assert_close(mine, reference / (999 * top) ** 0.5)


@pytest.mark.parametrize("per_channel", [True, False])
def test_corrections_are_best_at_first_and_learn(per_channel):
    weight = torch.randn(5, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = DoubleRounding([weight], per_channel).double()
    module = DoubleRounding([weight], per_channel, corrected_widths=(4, 2)).double()
    module.start_from(weight)
    for width in (8, 4, 2):
        plain.select(width)
        module.select(width)
        values, step = module(weight)[:2]
        codes = plain(weight)[0] / plain.running_scale
        torch.testing.assert_close(values, codes * step)
        errors = [(weight - v.detach()).square().sum() for v in (values, plain(weight)[0])]
        assert errors[0] < errors[1] if width < 8 else errors[0] == errors[1]
        for factor in (0.99, 1.01) if width < 8 else ():
            worse = (weight - values.detach() * factor).square().sum()
            assert errors[0] < worse
    values.sum().backward()
    assert module.correction.grad[1].abs().min() > 0 and not module.correction.grad[0].any()


def test_initial_scale_is_three_sigma():
    weight = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    rows = weight.flatten(1)
    mean, sigma = rows.mean(1), rows.std(1, correction=0)
    reach = torch.maximum((mean - 3 * sigma).abs(), (mean + 3 * sigma).abs())
    scale = DoubleRounding([weight], per_channel=True).scale
    torch.testing.assert_close(scale.detach().flatten(), reach / 128)


def test_a_channel_of_zeros_has_a_scale():
    weight = torch.stack([torch.zeros(9), torch.ones(9)])
    values = DoubleRounding([weight], per_channel=True)(weight)[0]
    assert values.isfinite().all()
    assert values[0].abs().max() == 0


def test_calibration_beats_every_neighbouring_scale():
    x = torch.randn(4096, generator=torch.Generator().manual_seed(0)).relu()
    best = least_squares_scale(x, 3)

    def error(s):
        return ((x / s).round().clamp(0, 3) * s - x).square().sum()

    assert all(error(best) <= error(best * k) for k in (0.9, 0.95, 1.05, 1.1))


@pytest.mark.parametrize("shift", [-2.0, -0.5, 0.0, 3.0])
def test_calibration_finds_a_range_and_its_zero(shift):
    x = torch.randn(4096, generator=torch.Generator().manual_seed(0)) + shift
    scale, zero_point = least_squares_range(x, 15)

    def error(s, z):
        return (((x / s).round() + z).clamp(0, 15) - z).mul(s).sub(x).square().sum()

    assert zero_point == zero_point.round()
    best = error(scale, zero_point)
    for s in (0.8, 0.9, 1.1, 1.25):
        assert best < error(scale * s, zero_point)
    for z in (zero_point - 2, zero_point + 2):
        assert best < error(scale, z) or not 0 <= z <= 15


def test_calibration_on_zeros_gives_a_range():
    assert [float(value) for value in least_squares_range(torch.zeros(5), 3)] == [1.0, 2.0]


def test_loading_a_state_keeps_scales_and_widths():
    layer = QuantConv2d(2, 3, 3, weight_quant=SwitchableWeights)
    layer.weight_quant.tensor_quant.select(4)
    state = {k: torch.full_like(v, 0.25) for k, v in layer.state_dict().items()}
    layer.load_state_dict(state)
    assert layer.weight_quant.tensor_quant.width == 4
    assert layer.weight_quant.tensor_quant.scale.detach().unique().tolist() == [0.25]


def test_loading_a_state_keeps_the_width_of_activations():
    relu = QuantReLU(act_quant=SwitchableActivations, widths=(8, 4))
    relu.act_quant.fused_activation_quant_proxy.tensor_quant.select(4)
    relu.load_state_dict(relu.state_dict())
    assert relu.act_quant.fused_activation_quant_proxy.tensor_quant.width == 4


@pytest.mark.parametrize(
    ("quant", "shape", "width"),
    [(SwitchableWeights, (3, 1), 4), (PinnedWeights, (3, 1), 8), (LogitWeights, (), 8)],
)
def test_leaves_set_widths_and_scales(quant, shape, width):
    layer = QuantLinear(5, 3, bias=True, weight_quant=quant)
    layer.weight_quant.tensor_quant.select(4)
    assert layer.weight_quant.tensor_quant.scale.shape == shape
    assert layer.weight_quant.tensor_quant.width == width
    assert layer(torch.ones(2, 5)).shape == (2, 3)


def test_widths_that_do_not_exist_are_refused():
    with pytest.raises(DownshiftError, match=r"^Weights run at 1 to 8 bits, not 9$"):
        DoubleRounding([torch.ones(1, 1)], per_channel=True).select(9)
    with pytest.raises(DownshiftError, match=r"^Activations were trained at widths 8, 4, not 6$"):
        ActivationQuantizer((8, 4)).select(6)
