"""The small network: two convolutions and a linear layer, trained in seconds on small images."""

from torch import nn

from downshift.hw.errors import DownshiftError

__all__ = ["FloatNet", "linear_inputs"]


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
