"""A perceptron with two hidden layers, for tabular data."""

from torch import nn

from downshift.sw.networks.checks import check_images

__all__ = ["Perceptron"]

HIDDEN = 64


class Perceptron(nn.Sequential):
    """Two hidden layers of 64.

    Parameters
    ----------
    input_shape : (height, width, channels)
        Flattened; (1, features, 1) of tabular data.
    classes : int
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int):
        check_images(input_shape, classes)
        height, width, channels = input_shape
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear1 = nn.Linear(height * width * channels, HIDDEN, bias=False)
        self.norm1, self.relu1 = nn.BatchNorm1d(HIDDEN), nn.ReLU()
        self.linear2 = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm1d(HIDDEN), nn.ReLU()
        self.linear3 = nn.Linear(HIDDEN, classes)
