"""The small network: two convolutions and a linear layer, trained in seconds on small images."""

from torch import nn

from downshift.sw.networks.checks import check_images

__all__ = ["SmallNet"]


class SmallNet(nn.Sequential):
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
        check_images(input_shape, classes, at_least=4)
        height, width, channels = input_shape
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)  # (n, 16, h, w)
        self.norm1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)  # (n, 16, h // 2, w // 2)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)  # (n, 32, h // 2, w // 2)
        self.norm2 = nn.BatchNorm2d(32)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)  # (n, 32, h // 4, w // 4)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(32 * (height // 4) * (width // 4), classes)  # (n, classes)
