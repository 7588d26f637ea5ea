import pytest
import torch
from brevitas.nn import QuantConv2d, QuantReLU
from quantized_networks import INPUT_SHAPE, conv, logits, lower_small, norm, relu, signed, source
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.quantization.lowering import lower
from downshift.sw.quantization.quantizers import (
    OffsetActivations,
)

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
