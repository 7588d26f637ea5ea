import numpy as np
import pytest
import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.hw.mac import accumulator_bounds
from downshift.hw.requantize import requantize
from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.quantization.activation_quantizer import ActivationQuantizer
from downshift.sw.quantization.double_rounding import DoubleRounding
from downshift.sw.quantization.fixed_point import fixed_point
from downshift.sw.quantization.freeze import Frozen, freeze
from downshift.sw.quantization.lowering import lower
from downshift.sw.quantization.network_blocks import network_blocks
from downshift.sw.quantization.quantizers import (
    InputActivations,
    LogitWeights,
    OffsetActivations,
    PinnedActivations,
    PinnedOffsetActivations,
    SwitchableActivations,
    SwitchableWeights,
)
from downshift.sw.quantization.switchable import (
    SwitchableBatchNorm1d,
    SwitchableBatchNorm2d,
)
from downshift.sw.quantization.widths import set_widths

WIDTHS = (8, 5, 2, 1)


def source():
    return QuantIdentity(act_quant=InputActivations, widths=WIDTHS, fixed_scale=1 / 16)


def relu(quant=SwitchableActivations):
    return QuantReLU(act_quant=quant, widths=WIDTHS)


def conv(*args, **kwargs):
    return QuantConv2d(*args, weight_quant=SwitchableWeights, **kwargs)


def logits(n):
    return QuantLinear(n, 4, bias=True, weight_quant=LogitWeights)


def norm(n):
    return SwitchableBatchNorm2d(n, widths=WIDTHS)


CHAINS = {
    "plain": [
        *[conv(2, 3, 3, padding=1, bias=False), norm(3), relu(), nn.MaxPool2d(2)],
        *[conv(3, 4, 3), norm(4), relu(PinnedActivations), nn.Flatten(), logits(4 * 2 * 1)],
    ],
    "strides": [
        *[conv(2, 5, (3, 2), stride=(2, 1), padding=(1, 0)), relu(), nn.MaxPool2d((2, 3), (1, 2))],
        *[nn.Sequential(conv(5, 3, 1, bias=False), norm(3), nn.Identity()), relu()],
        *[nn.Dropout(), nn.Flatten(), logits(18)],
    ],
    "pool first": [
        *[conv(2, 3, 3, padding=1), nn.MaxPool2d(2), norm(3), relu()],
        *[nn.Flatten(), QuantLinear(36, 5, bias=False, weight_quant=SwitchableWeights)],
        *[SwitchableBatchNorm1d(5, widths=WIDTHS), relu(), logits(5)],
    ],
    "linear": [
        *[nn.Flatten(), QuantLinear(96, 7, bias=True, weight_quant=SwitchableWeights), relu()],
        *[QuantLinear(7, 5, bias=False, weight_quant=SwitchableWeights), relu(), logits(5)],
    ],
}
INPUT_SHAPE = (8, 6, 2)


def signed(quant=OffsetActivations):
    return QuantIdentity(act_quant=quant, widths=WIDTHS)


class Residual(nn.Module):
    """Sums with what is quantized already: after a relu, and before one."""

    def __init__(self):
        super().__init__()
        self.entrance = nn.Sequential(source(), conv(2, 4, 3, padding=1), norm(4), relu())
        self.same = nn.Sequential(conv(4, 4, 3, padding=1, bias=False), norm(4))
        self.same_relu, self.relu = relu(), relu(PinnedActivations)
        self.skip = nn.Sequential(conv(4, 6, 1, stride=2), norm(6), signed())
        self.down = nn.Sequential(conv(4, 6, 3, stride=2, padding=1, bias=False), norm(6))
        self.exit = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), logits(6))

    def forward(self, x):
        x = self.entrance(x)
        x = self.same_relu(self.same(x) + x)
        return self.exit(self.relu(torch.add(self.skip(x), self.down(x))))


class Bottleneck(nn.Module):
    """Maps without a relu, depthwise and grouped convolutions, and a mean by hand."""

    def __init__(self):
        super().__init__()
        self.entrance = nn.Sequential(source(), conv(2, 4, 1), norm(4), signed())
        self.expand = nn.Sequential(conv(4, 8, 1, bias=False), norm(8), relu())
        self.depthwise = nn.Sequential(conv(8, 8, 3, padding=1, groups=8), norm(8), relu())
        self.project = nn.Sequential(conv(8, 4, 1, bias=False), norm(4))
        self.sum = signed(PinnedOffsetActivations)
        self.grouped = nn.Sequential(conv(4, 6, 3, groups=2), relu(), nn.Dropout())
        self.last = logits(6)

    def forward(self, x):
        x = self.entrance(x)
        x = self.sum(x + self.project(self.depthwise(self.expand(x))))
        return self.last(self.grouped(x).mean((2, 3)))


NETWORKS = {
    **{name: lambda chain=chain: nn.Sequential(source(), *chain) for name, chain in CHAINS.items()},
    "residual": Residual,
    "bottleneck": Bottleneck,
}


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
    ("name", "width"),
    [(name, w) for name in NETWORKS for w in WIDTHS if (name, w) != ("bottleneck", 1)],
)
def test_lowering_is_exact_where_floats_are(name, width):
    model = power_of_two(NETWORKS[name]())
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
    step = quantizer.scale[quantizer.index] * last.scale * 2 ** (8 - last.width)
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


@pytest.mark.parametrize("factor", [2.0**-47, 1e-9, 0.1, 0.999999, 1.0, 65535.4])
def test_fixed_point_is_close(factor):
    multiplier, shift = fixed_point([factor])
    assert 1 << 15 <= multiplier[0] < 1 << 16
    assert abs(float(multiplier[0]) / 2.0 ** float(shift[0]) / factor - 1) <= 2.0**-16


def test_fixed_point_extremes():
    multiplier, shift = fixed_point([1e-30, 1 - 1e-12])
    assert (multiplier.tolist(), shift.tolist()) == ([1 << 15, 1 << 15], [63, 15])
    with pytest.raises(ValueError, match=r"^Factor must be below 65535.5, not 65536.0$"):
        fixed_point([65536.0])


def lower_small(*modules):
    return lower(nn.Sequential(source(), *modules), input_shape=INPUT_SHAPE)


POOLED = [conv(2, 3, 3), relu()]
REFUSED = {
    r"^Module 1 of type Sigmoid cannot be lowered in its place; ": [nn.Sigmoid()],
    r"^Module 2 of type ReLU cannot be lowered in its place; ": [conv(2, 3, 3), nn.ReLU()],
    r"^Module 3 of type MaxPool2d must have no padding, dil": [*POOLED, nn.MaxPool2d(2, padding=1)],
    r"^Module 3 of type MaxPool2d must have no padding": [*POOLED, nn.MaxPool2d(2, ceil_mode=True)],
    r"^A network must end with a layer that gives logits$": POOLED,
    r"^Layer 1: a QuantLinear on a map needs a Flatten before it$": [logits(2)],
    r"^Layer 2 expects 7 inputs, a map of shape \(8, 6, 2\) comes in$": [nn.Flatten(), logits(7)],
    r"^Layer 1: dilation must be 1$": [conv(2, 2, 3, dilation=2), relu(), nn.Flatten(), logits(2)],
    r"^Layer 1 gives logits, which must share one scale: ": [conv(2, 2, 3)],
    r"^Layer 1: weights must be quantized by DoubleR": [QuantConv2d(2, 2, 3), relu(), logits(2)],
    r"^Module 2 must be quantized by SwitchableActiv": [conv(2, 2, 3), QuantReLU(), logits(2)],
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_lowered_is_named(message):
    with pytest.raises(DownshiftError, match=message):
        lower_small(*REFUSED[message])


class Parts(nn.Module):
    """Modules, and a forward of one's own."""

    def __init__(self, forward):
        super().__init__()
        self.source, self.signed, self.relu = source(), signed(), relu()
        self.one, self.two, self.norm = conv(2, 4, 1), conv(2, 4, 1), norm(4)
        self.offset_relu, self.mean = relu(OffsetActivations), nn.AdaptiveAvgPool2d((4, 3))
        self.vanishes, self.pool = nn.Identity(), nn.MaxPool2d(2)
        self.last = logits(4)
        self.call = forward

    def forward(self, x):
        x = self.call(self, self.source(x))
        return self.last(x.mean(dim=(2, 3)))


FORWARDS = {
    r"^Operation add adds what two and one give; quantize one of them before, by a QuantIdent": (
        lambda net, x: net.relu(net.two(x) + net.one(x))
    ),
    r"^Module relu of type QuantReLU takes what 1 more take; quantize it before$": (
        lambda net, x: (y := net.one(x)) is not None and net.relu(y) + net.signed(y)
    ),
    r"^Operation add cannot be lowered in its place; ": lambda net, x: net.relu(net.one(x)) + x,
    r"^Operation sub cannot be lowered in its place; ": lambda net, x: net.one(x) - x,
    r"^Module norm of type SwitchableBatchNorm2d cannot be lowered in its place; ": (
        lambda net, x: net.norm(net.relu(net.one(x)))
    ),
    r"^Module offset_relu of type QuantReLU gives nothing below zero: use act_quant=Switchabl": (
        lambda net, x: net.offset_relu(net.one(x))
    ),
    r"^Module mean of type AdaptiveAvgPool2d must give one pixel, not \(4, 3\)$": (
        lambda net, x: net.mean(net.relu(net.one(x)))
    ),
    r"^Operation mean must take the mean of all pixels, over \(2, 3\)$": (
        lambda net, x: net.relu(net.one(x)).mean(1)
    ),
    r"^Operation add with options cannot be lowered in its place; ": (
        lambda net, x: net.relu(torch.add(net.one(x), net.signed(net.two(x)), alpha=2))
    ),
    r"^Operation flatten must flatten all but the first dimension$": (
        lambda net, x: torch.flatten(net.relu(net.one(x)))
    ),
    r"^Module vanishes of type Identity takes what 1 more take; quantize it before$": (
        lambda net, x: net.pool(net.vanishes(y := net.relu(net.one(x)))) + y
    ),
    r"^Module source of type QuantIdentity cannot be lowered in its place; ": (
        lambda net, x: net.source(net.relu(net.one(x)))
    ),
    r"^The network cannot be traced by torch.fx: .*; its forward must not depend on values$": (
        lambda net, x: net.relu(net.one(x)) if x.sum() > 0 else x
    ),
}


@pytest.mark.parametrize("message", FORWARDS)
def test_what_cannot_be_lowered_in_its_place_is_named(message):
    with pytest.raises(DownshiftError, match=message):
        lower(Parts(FORWARDS[message]), input_shape=INPUT_SHAPE)


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
