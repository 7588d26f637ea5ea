"""Networks of quantized layers, and the parts they are made of."""

import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import nn

from downshift.sw.quantization.lowering import lower
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


def lower_small(*modules):
    return lower(nn.Sequential(source(), *modules), input_shape=INPUT_SHAPE)
