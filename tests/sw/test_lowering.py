import numpy as np
import pytest
import torch
from brevitas.nn import QuantConv2d, QuantLinear
from quantized_networks import (
    INPUT_SHAPE,
    NETWORKS,
    WIDTHS,
    Bottleneck,
    Residual,
    conv,
    logits,
    lower_small,
    relu,
)
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.hw.mac import accumulator_bounds
from downshift.hw.requantize import requantize
from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.graph.fixed_point import fixed_point, multiplier_width
from downshift.sw.quantization.activation_quantizer import ActivationQuantizer
from downshift.sw.quantization.double_rounding import DoubleRounding
from downshift.sw.quantization.freeze import Frozen, freeze
from downshift.sw.quantization.lowering import lower
from downshift.sw.quantization.network_blocks import network_blocks
from downshift.sw.quantization.widths import set_widths


def power_of_two(model, seed=0):
    """Fill a chain with numbers that floating point and fixed point both hold exactly."""
    rng = torch.Generator().manual_seed(seed)

    def powers(shape, low, high):
        return 2.0 ** torch.randint(low, high + 1, shape, generator=rng)

    def halves(shape):
        return torch.randint(-4, 5, shape, generator=rng) / 2

    for module in model.modules():
        if isinstance(module, QuantConv2d | QuantLinear):
            module.weight.data = torch.randn(module.weight.shape, generator=rng) / 2
            if module.bias is not None:
                module.bias.data = halves(module.bias.shape)
        if isinstance(module, DoubleRounding):
            module.scale.data = powers(module.scale.shape, -8, -6)
        elif isinstance(module, ActivationQuantizer) and isinstance(module.scale, nn.Parameter):
            # At 1 bit small enough that a bias is still a whole number of steps.
            module.scale.data = torch.tensor(
                [2.0 ** (1 - min(w, 6) if w > 1 else -2) for w in WIDTHS]
            )
            if module.offset:
                module.zero.data = torch.rand(len(WIDTHS), generator=rng)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eps = 0.0
            module.weight.data = powers(module.weight.shape, -2, 0)
            module.running_var.data = powers(module.weight.shape, 0, 1) ** 2
            module.bias.data, module.running_mean.data = (halves(module.bias.shape) for _ in "ab")
    return model.double().eval()


@pytest.mark.parametrize(
    ("name", "width", "centred"),
    [
        *((name, w, False) for name in NETWORKS for w in WIDTHS if (name, w) != ("bottleneck", 1)),
        *((name, 2, True) for name in NETWORKS),
    ],
)
def test_lowering_is_exact_where_floats_are(name, width, centred):
    model = power_of_two(NETWORKS[name]())
    for module in model.modules():
        if isinstance(module, DoubleRounding):
            module.centred = centred
    frozen = Frozen(lower(model, input_shape=INPUT_SHAPE, assignments={width: width}))
    x = torch.randint(0, 256, (20, 2, 8, 6), generator=torch.Generator().manual_seed(1))
    ours = frozen(x.byte(), width)
    theirs = golden.run(frozen.graph, x.byte().permute(0, 2, 3, 1).numpy(), width)
    assert np.array_equal(ours.logits.numpy(), theirs.logits)
    set_widths(model, width)
    with torch.no_grad():
        real = model(x.double() / 16)
    block = network_blocks(model)[1][-1]
    last, quantizer = block.layer.weight_quant.tensor_quant, block.entering
    step = quantizer.scale[quantizer.index] * last.scale * 2 ** (8 - last.running_width)
    pixels = np.prod(frozen.graph.shape_of(block.source)[:2]) if block.average else 1
    assert torch.equal((real / step * pixels).round().int(), ours.logits)
    assert real.std() > 0


def test_grouped_layers_of_one_bit_are_refused():
    with pytest.raises(DownshiftError, match=r"^Layer grouped.0 at width 1: weights of 1 bit have"):
        lower(power_of_two(Bottleneck()), input_shape=INPUT_SHAPE)


def test_lowering_leaves_the_running_width(untrained):
    set_widths(untrained, 4)
    lower(untrained, input_shape=(8, 8, 1))
    assert untrained.norm1.width == untrained.conv2.weight_quant.tensor_quant.width == 4


def test_digits_settings(untrained):
    graph = lower(untrained, input_shape=(8, 8, 1))
    settings = [layer.settings[4] for layer in graph.layers]
    widths = [(s.weight_width, s.in_width, s.out_width) for s in settings]
    assert widths == [(8, 8, 4), (4, 4, 8), (8, 8, 32)]
    assert (graph.macs, graph.weight_bytes, graph.input_scale) == (84224, 6032, 1 / 16)


def test_logits_have_their_scale(short_training, digits):
    model, x = short_training.model, digits.test.codes
    frozen = freeze(model, input_shape=digits.input_shape)
    before = model.norm1.width
    for width, scale in frozen.graph.logit_scales.items():
        set_widths(model, width)
        _, blocks = network_blocks(model)
        entering = blocks[-1].entering
        weight_scale = model.linear.weight_quant.tensor_quant.running_scale
        assert scale == weight_scale.item() * entering.scale[entering.index].item()
        # Codes before may differ by a rounding here and there: both judge the same, by and large.
        given = frozen(x, width).logits.double() * scale
        wanted = model(x.float() * digits.input_scale).double()
        assert (given - wanted).square().mean() < 1e-3 * wanted.square().mean()
    set_widths(model, before)


@pytest.mark.parametrize("width", [16, 24])
@pytest.mark.parametrize("factor", [2.0**-39, 1e-9, 0.1, 0.999999, 65535.4])
def test_fixed_point_is_close(factor, width):
    multiplier, shift = fixed_point([factor], width=width)
    assert multiplier_width(multiplier) == (16 if factor == 2.0**-39 else width)
    assert 1 << multiplier_width(multiplier) - 1 <= multiplier[0] < 1 << width
    assert abs(float(multiplier[0]) / 2.0 ** float(shift[0]) / factor - 1) <= 2.0**-width


def test_fixed_point_needs_no_more_than_it_must():
    for factor in (1.0, 52429 / 2**19, [0.25, 65535 / 2**20]):
        wide, narrow = fixed_point(factor, width=24), fixed_point(factor)
        for ours, theirs in zip(wide, narrow, strict=True):
            assert (ours.dtype, ours.tolist()) == (theirs.dtype, theirs.tolist())
    multiplier, shift = fixed_point([1.0, 0.1], width=24)
    assert (multiplier.tolist(), shift.tolist()) == ([1 << 23, 13421773], [23, 27])


def test_fixed_point_extremes():
    multiplier, shift = fixed_point([1e-30, 1 - 1e-12])
    assert (multiplier.tolist(), shift.tolist()) == ([1 << 15, 1 << 15], [63, 15])
    with pytest.raises(ValueError, match=r"^Factor must be below 65535.5, not 65536.0$"):
        fixed_point([65536.0])


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_lowered_compiles_for_tables(name):
    runnable = {width: width for width in WIDTHS if width > 1}
    model = power_of_two(NETWORKS[name]())
    graph = lower(model, input_shape=INPUT_SHAPE, assignments=runnable)
    assert compile_graph(graph, TableConfig()).widths == tuple(runnable)


def test_a_residual_that_counts_too_often_is_named():
    model = power_of_two(Residual())
    for norm_ in model.same[1].norms.values():
        norm_.running_var.data[:] = 1e12
    message = r"^Layer same.0 at width 8: a code of the residual entrance.1 would count \d+ to \d+ "
    with pytest.raises(DownshiftError, match=message):
        lower(model, input_shape=INPUT_SHAPE)


def test_accumulators_beyond_int32_are_named():
    last = logits(96)
    last.bias.data[:] = 1e9
    with pytest.raises(DownshiftError, match=r"^Layer 2 at width 8: accumulators may reach \d+, "):
        lower_small(nn.Flatten(), last)


def test_a_bias_that_saturates_every_code_is_clipped_not_refused():
    layer = conv(2, 3, 3)
    layer.bias.data[:] = torch.tensor([-1e12, 1e3, 0.0])
    graph = lower_small(layer, relu(), nn.Flatten(), logits(72))
    low, high = accumulator_bounds(graph.layers[0].weight.reshape(3, -1), activation_max=255)
    s = graph.layers[0].settings[8]
    kwargs = {"bias": s.bias, "multiplier": s.multiplier, "shift": s.shift, "zero_point": 0}
    codes = requantize(np.stack([low, high]), width=8, **kwargs)
    assert codes[:, :2].tolist() == [[0, 255], [0, 255]]


def test_biases_round_half_to_even():
    last = logits(96)
    last.weight_quant.tensor_quant.scale.data.fill_(2.0**-6)
    last.bias.data = torch.tensor([0.5, 1.5, 2.5, -0.75]) * 2.0**-10
    graph = lower_small(nn.Flatten(), last)
    assert graph.layers[0].settings[8].bias.tolist() == [0, 2, 2, -1]


def test_values_that_are_not_finite_are_named():
    layer = conv(2, 3, 3)
    layer.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(DownshiftError, match=r"^Layer 1: its parameters must be finite"):
        lower_small(layer, relu(), nn.Flatten(), logits(72))
