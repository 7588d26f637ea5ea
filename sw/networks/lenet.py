"""A network of LeNet's size, with batch norms and relus."""

from torch import nn

from downshift.sw.networks.checks import check_images

__all__ = ["LeNet"]


class LeNet(nn.Sequential):
    """Two convolutions of 5 x 5 and three linear layers; 416,520 products for 28 x 28 pixels.

    Parameters
    ----------
    input_shape : (height, width, channels)
        At least 12 x 12 pixels.
    classes : int

    Notes
    -----
    LeCun et al., *Gradient-based learning applied to document recognition*, 1998.
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int):
        check_images(input_shape, classes, at_least=12)
        height, width = (((size // 2) - 4) // 2 for size in input_shape[:2])
        super().__init__()
        self.conv1 = nn.Conv2d(input_shape[2], 6, 5, padding=2, bias=False)  # (n, 6, h, w)
        self.norm1, self.relu1 = nn.BatchNorm2d(6), nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)  # (n, 6, h // 2, w // 2)
        self.conv2 = nn.Conv2d(6, 16, 5, bias=False)  # (n, 16, h // 2 - 4, w // 2 - 4)
        self.norm2, self.relu2 = nn.BatchNorm2d(16), nn.ReLU()
        self.pool2, self.flatten = nn.MaxPool2d(2), nn.Flatten()
        self.linear1 = nn.Linear(16 * height * width, 120, bias=False)
        self.norm3, self.relu3 = nn.BatchNorm1d(120), nn.ReLU()
        self.linear2 = nn.Linear(120, 84, bias=False)
        self.norm4, self.relu4 = nn.BatchNorm1d(84), nn.ReLU()
        self.linear3 = nn.Linear(84, classes)
