"""The demo network: handwritten digits of 8 x 8 pixels, small enough to train in seconds."""

from dataclasses import dataclass

import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import Tensor, nn

from downshift.sw.quantizers import (
    InputActivations,
    LogitWeights,
    PinnedActivations,
    PinnedWeights,
    SwitchableActivations,
    SwitchableWeights,
)
from downshift.sw.switchable import SwitchableBatchNorm2d

__all__ = ["Digits", "FloatDigitsNet", "QuantDigitsNet", "load_digits"]

INPUT_SCALE = 1 / 16
"""Pixels are 0…16: each is its own input code, and the network sees 0…1."""

INPUT_SHAPE = (8, 8, 1)
"""Height, width, channels of an image."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Digits:
    """The UCI digits, split once and for all."""

    train_images: Tensor
    """float32, (1347, 1, 8, 8), 0…1."""
    train_labels: Tensor
    """int64, (1347,)."""
    test_images: Tensor
    """float32, (450, 1, 8, 8), 0…1."""
    test_labels: Tensor
    """int64, (450,)."""


def load_digits() -> Digits:
    """Load the 1,797 digits that travel inside scikit-learn, 75 % to train, 25 % to test.

    The split is stratified and always the same. Source: E. Alpaydin and C. Kaynak, *Optical
    Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998.
    """
    # Half a second to import, and only training needs it.
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    images, labels = load(return_X_y=True)
    parts = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)
    train_images, test_images = (
        torch.as_tensor(part * INPUT_SCALE, dtype=torch.float32).reshape(-1, 1, 8, 8)
        for part in parts[:2]
    )
    train_labels, test_labels = (torch.as_tensor(part, dtype=torch.int64) for part in parts[2:])
    return Digits(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )


class FloatDigitsNet(nn.Sequential):
    """The network in FP32: 84,224 multiply-accumulates an image."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)  # (n, 16, 8, 8)
        self.norm1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)  # (n, 16, 4, 4)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)  # (n, 32, 4, 4)
        self.norm2 = nn.BatchNorm2d(32)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)  # (n, 32, 2, 2)
        self.flatten = nn.Flatten()  # (n, 128)
        self.linear = nn.Linear(128, 10)  # (n, 10)


class QuantDigitsNet(nn.Sequential):
    """The same network, quantized: first and last layer at 8 bits, the one between switchable.

    Parameters
    ----------
    widths : tuple of int
        Network widths it is trained at.
    """

    def __init__(self, widths: tuple[int, ...] = (8, 6, 4, 2)):
        super().__init__()
        self.input = QuantIdentity(
            act_quant=InputActivations, widths=widths, fixed_scale=INPUT_SCALE
        )
        self.conv1 = QuantConv2d(1, 16, 3, padding=1, bias=False, weight_quant=PinnedWeights)
        self.norm1 = SwitchableBatchNorm2d(16, widths=widths)
        self.relu1 = QuantReLU(act_quant=SwitchableActivations, widths=widths)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = QuantConv2d(16, 32, 3, padding=1, bias=False, weight_quant=SwitchableWeights)
        self.norm2 = SwitchableBatchNorm2d(32, widths=widths)
        # The last layer's input, hence 8 bits.
        self.relu2 = QuantReLU(act_quant=PinnedActivations, widths=widths)
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.linear = QuantLinear(128, 10, bias=True, weight_quant=LogitWeights)
