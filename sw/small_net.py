"""The small network: two convolutions and a linear layer, trained in seconds on small images."""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.quantizers import (
    InputActivations,
    LogitWeights,
    PinnedActivations,
    PinnedWeights,
    SwitchableActivations,
    SwitchableWeights,
)
from downshift.sw.switchable import SwitchableBatchNorm2d

__all__ = ["FloatNet", "QuantNet", "linear_inputs"]


class FloatNet(nn.Sequential):
    """The network in FP32; 84,224 multiply-accumulates for a digit of 8 x 8 pixels.

    Parameters
    ----------
    input_shape : (height, width, channels)
        At least 4 x 4 pixels.
    classes : int
        At least 2.

    Raises
    ------
    DownshiftError
        If the images are too small or the classes too few.
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int):
        inputs = linear_inputs(input_shape, classes)
        super().__init__()
        self.conv1 = nn.Conv2d(input_shape[2], 16, 3, padding=1, bias=False)  # (n, 16, h, w)
        self.norm1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)  # (n, 16, h // 2, w // 2)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)  # (n, 32, h // 2, w // 2)
        self.norm2 = nn.BatchNorm2d(32)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)  # (n, 32, h // 4, w // 4)
        self.flatten = nn.Flatten()  # (n, inputs)
        self.linear = nn.Linear(inputs, classes)  # (n, classes)


class QuantNet(nn.Sequential):
    """The same network, quantized: first and last layer at 8 bits, the one between switchable.

    Parameters
    ----------
    input_shape, classes : as for `FloatNet`
    widths : tuple of int
        Network widths it is trained at.
    input_scale : float
        Real value of one input code, 8 bits.

    Raises
    ------
    DownshiftError
        If the images are too small or the classes too few.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        widths: tuple[int, ...],
        input_scale: float,
    ):
        inputs = linear_inputs(input_shape, classes)
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.classes = classes
        self.input_scale = input_scale
        self.input = QuantIdentity(
            act_quant=InputActivations, widths=widths, fixed_scale=input_scale
        )
        self.conv1 = QuantConv2d(
            input_shape[2], 16, 3, padding=1, bias=False, weight_quant=PinnedWeights
        )
        self.norm1 = SwitchableBatchNorm2d(16, widths=widths)
        self.relu1 = QuantReLU(act_quant=SwitchableActivations, widths=widths)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = QuantConv2d(16, 32, 3, padding=1, bias=False, weight_quant=SwitchableWeights)
        self.norm2 = SwitchableBatchNorm2d(32, widths=widths)
        # The last layer's input, hence 8 bits.
        self.relu2 = QuantReLU(act_quant=PinnedActivations, widths=widths)
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.linear = QuantLinear(inputs, classes, bias=True, weight_quant=LogitWeights)


def linear_inputs(input_shape: tuple[int, int, int], classes: int) -> int:
    """Inputs of the linear layer, after checking what the network is made for."""
    height, width, channels = input_shape
    if min(height, width) < 4 or channels < 1:
        raise DownshiftError(
            f"Images must have at least 4 x 4 pixels and 1 channel, not {tuple(input_shape)!r}"
        )
    if classes < 2:
        raise DownshiftError(f"Classes must be at least 2, not {classes!r}")
    return 32 * (height // 4) * (width // 4)
