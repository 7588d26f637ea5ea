import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.hw.precision_switch import precision_switch
from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.quantization.freeze import Frozen, freeze
from downshift.sw.quantization.prepare import prepare
from downshift.sw.quantization.widths import set_widths
from downshift.sw.training.calibration import calibrate

WIDTHS = (8, 4, 2)
SHAPE = (12, 12, 3)


class PostActivation(nn.Module):
    """A residual block as in MLPerf Tiny's ResNet-8, and functions instead of modules."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv1, self.norm1 = nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12)
        self.conv2, self.norm2 = nn.Conv2d(12, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.skip = nn.Conv2d(8, 12, 1, stride=2)
        self.last = nn.Linear(12, 5)

    def forward(self, x):
        x = F.relu(self.norm(self.conv(x)))
        y = torch.relu(self.norm1(self.conv1(x)))
        x = (self.norm2(self.conv2(y)) + self.skip(x)).relu()
        return self.last(torch.flatten(x.mean((2, 3)), 1))


class PreActivation(nn.Module):
    """Batch norms and relus before the convolutions, and sums that nothing follows."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm1, self.conv1 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm3, self.relu = nn.BatchNorm2d(8), nn.ReLU()
        self.exit = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))

    def forward(self, x):
        x = self.conv(x)
        y = self.conv1(self.relu(self.norm1(x)))
        x = x + self.conv2(self.relu(self.norm2(y)))
        return self.exit(self.relu(self.norm3(x)))


class Inverted(nn.Module):
    """Linear bottlenecks with depthwise layers, as in MobileNetV2."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU6())
        self.block = nn.Sequential(
            *[nn.Conv2d(6, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU6()],
            *[nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False), nn.BatchNorm2d(12)],
            *[nn.ReLU6(), nn.Conv2d(12, 6, 1, bias=False), nn.BatchNorm2d(6)],
        )
        self.head = nn.Sequential(nn.Conv2d(6, 8, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1))
        self.last = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, 5))

    def forward(self, x):
        x = self.stem(x)
        return self.last(self.head(x + self.block(x)))


NETWORKS = {
    "chain": lambda: nn.Sequential(
        *[nn.Conv2d(3, 6, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8)],
        *[nn.ReLU(), nn.Flatten(), nn.Linear(72, 10), nn.BatchNorm1d(10), nn.ReLU()],
        *[nn.Dropout(), nn.Linear(10, 5)],
    ),
    "post-activation": PostActivation,
    "pre-activation": PreActivation,
    "inverted": Inverted,
}


@pytest.fixture(params=NETWORKS)
def pair(request):
    """An FP32 network with statistics of its own, and what `prepare` makes of it."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = NETWORKS[request.param]().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data = torch.randn(module.weight.shape, generator=generator)
            module.bias.data = torch.randn(module.weight.shape, generator=generator) / 4
            module.running_mean.data = torch.randn(module.weight.shape, generator=generator) / 4
            module.running_var.data = torch.rand(module.weight.shape, generator=generator) + 0.5
    if request.param == "chain":
        model[4].weight.data.abs_()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    prepared = prepare(model, widths=WIDTHS, input_scale=1 / 255)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return model, prepared


def images(n, seed=1):
    codes = torch.randint(0, 256, (n, 3, 12, 12), generator=torch.Generator().manual_seed(seed))
    return codes / 255


def calibrated(prepared, x):
    """Scales from batches; batch norms keep the statistics they were given."""
    norms = {n: b.clone() for n, b in prepared.named_buffers() if "running" in n}
    calibrate(prepared, x, WIDTHS)
    for name, buffer in prepared.named_buffers():
        if name in norms:
            buffer.copy_(norms[name])
    calibrate_eval(prepared, x)
    return prepared.eval()


def calibrate_eval(prepared, x):
    from downshift.sw.quantization.activation_quantizer import ActivationQuantizer

    prepared.eval()
    quantizers = [m for m in prepared.modules() if isinstance(m, ActivationQuantizer)]
    for quantizer in quantizers:
        quantizer.calibrating = True
    with torch.no_grad():
        for width in WIDTHS:
            set_widths(prepared, width)
            prepared(x)
    for quantizer in quantizers:
        quantizer.calibrating = False


def test_at_8_bits_it_computes_nearly_what_it_did(pair):
    model, prepared = pair
    x = images(64)
    calibrated(prepared, x)
    with torch.no_grad():
        want = model(x)
        errors = []
        for width in WIDTHS:
            set_widths(prepared, width)
            errors.append(float((prepared(x) - want).std() / want.std()))
    assert errors[0] < 0.1
    assert errors == sorted(errors)


def test_it_freezes_to_what_golden_computes(pair):
    _, prepared = pair
    x = images(16)
    frozen = freeze(calibrated(prepared, x), input_shape=SHAPE)
    codes = frozen.quantize(x)
    for width in WIDTHS:
        ours = frozen(codes, width)
        theirs = golden.run(frozen.graph, codes.permute(0, 2, 3, 1).numpy(), width)
        assert np.array_equal(ours.logits.numpy(), theirs.logits)
        for name, values in theirs.codes.items():
            assert np.array_equal(ours.codes[name].permute(0, 2, 3, 1).numpy(), values)
    assert compile_graph(frozen.graph, TableConfig()).widths == WIDTHS


def test_first_and_last_layer_have_8_bits(pair):
    _, prepared = pair
    graph = freeze(prepared.eval(), input_shape=SHAPE).graph
    for width in WIDTHS:
        settings = [layer.settings[width] for layer in graph.layers]
        assert settings[0].weight_width == settings[-1].weight_width == settings[-1].in_width == 8
        assert {s.weight_width for s in settings[1:-1]} <= {8, width}
        assert width in {s.weight_width for s in settings}


@pytest.mark.parametrize(
    "options",
    [
        {"widths": (4, 3, 1), "stored_width": 4},
        {"widths": (8, 1), "pin_ends": False, "per_channel": False},
        {"widths": (6, 2), "stored_width": 6, "pin_ends": False},
        {"widths": (8, 4, 2), "corrected": True},
        {"widths": (8, 4, 2), "centred": True},
    ],
)
def test_other_stored_widths_and_ends_freeze_to_what_golden_computes(options):
    torch.manual_seed(0)
    widths = options["widths"]
    prepared = prepare(PostActivation(), input_scale=1 / 255, **options)
    calibrate(prepared, images(64), widths)
    graph = freeze(prepared.eval(), input_shape=SHAPE).graph
    frozen, codes = Frozen(graph), images(8).mul(255).byte()
    for width in widths:
        theirs = golden.run(graph, codes.permute(0, 2, 3, 1).numpy(), width)
        assert np.array_equal(frozen(codes, width).logits.numpy(), theirs.logits)
        centred = width == 2 and options.get("centred", False)
        assert graph.layers[1].settings[width].weight_width == (3 if centred else width)
        assert graph.layers[1].settings[width].centred == centred
    pinned = options.get("pin_ends", True)
    assert all(
        layer.settings[widths[-1]].weight_width == (8 if pinned else widths[-1])
        for layer in (graph.layers[0], graph.layers[-1])
    )


def test_codes_of_few_bits_lie_at_the_top_of_a_byte():
    model = prepare(PostActivation(), widths=(4, 2), input_scale=1 / 255, stored_width=4)
    layer = freeze(model.eval(), input_shape=SHAPE).graph.layers[1]
    stored = model.conv1.weight_quant.tensor_quant.codes(model.conv1.weight).numpy()
    assert np.array_equal(layer.weight, stored * 16)
    for width in (4, 2):
        running = precision_switch(stored, width=width, stored_width=4)
        assert np.array_equal(precision_switch(layer.weight, width=width), running)


def test_accelerators_refuse_one_bit():
    model = prepare(PostActivation(), widths=(8, 1), input_scale=1 / 255).eval()
    graph = freeze(model, input_shape=SHAPE).graph
    with pytest.raises(DownshiftError, match=r"^Layer conv at width 1 has weights or codes of 1 b"):
        compile_graph(graph, TableConfig())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (2, 8)}, r"^Widths must fall, each named once, as 8,2 does, not 2,8$"),
        ({"widths": (8, 0)}, r"^Widths must be in 1..8, not \(8, 0\)$"),
        ({"widths": (8, 4), "stored_width": 4}, r"^Widths must be in 1..4, not \(8, 4\)$"),
        ({"widths": (8,), "stored_width": 9}, r"^Weights are stored in 2 to 8 bits, not 9$"),
        (
            {"widths": (2,), "stored_width": 2, "centred": True},
            r"^There are no centred weights with codes of 2 bits; leave one of them out$",
        ),
        (
            {"widths": (8, 2), "compat": "paper", "centred": True},
            r"^There are no centred weights with compat='paper'; leave one of them out$",
        ),
        ({"widths": (8,), "compat": "old"}, r'^compat must be None or "paper", not \'old\'$'),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(DownshiftError, match=message):
        prepare(PostActivation(), input_scale=1 / 255, **options)


REFUSED = {
    r"^Module 1 of type Sigmoid cannot be quantized; networks are made of ": [
        nn.Conv2d(3, 4, 1), nn.Sigmoid(),
    ],
    r"^Module 1.0 of type ConvTranspose2d cannot be quantized; ": [
        nn.Identity(), nn.Sequential(nn.ConvTranspose2d(3, 4, 1)),
    ],
    r"^A network must end with a Conv2d or Linear that gives logits$": [
        nn.Conv2d(3, 4, 1), nn.ReLU(),
    ],
    r"^A batch norm behind Module 1 of type MaxPool2d has negative factors; put it before ": [
        nn.Conv2d(3, 4, 1), nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1),
    ],
    r"^Module 1 of type BatchNorm2d without factors and statistics cannot be quantized; ": [
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 2, 1),
    ],
    r"^Module 0 of type Conv2d that is used more than once cannot be quantized; ": (
        [layer := nn.Conv2d(3, 3, 1), nn.ReLU(), layer, nn.ReLU(), nn.Conv2d(3, 2, 1)]
    ),
    r"^Module 0 of type ReLU behind what is quantized already cannot be quantized; ": [
        nn.ReLU(), nn.Conv2d(3, 2, 1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_quantized_is_named(message):
    model = nn.Sequential(*REFUSED[message])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            module.weight.data.fill_(-1.0)
    with pytest.raises(DownshiftError, match=message):
        prepare(model, widths=WIDTHS, input_scale=1 / 255)


def test_a_forward_that_depends_on_values_is_named():
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(DownshiftError, match=r"^The network cannot be traced by torch.fx: "):
        prepare(Branches(), widths=WIDTHS, input_scale=1 / 255)
