"""DS-CNN of MLPerf Tiny, which spots keywords."""

from torch import nn

from downshift.sw.networks.checks import check_images

__all__ = ["DsCnn"]

CHANNELS = 64
BLOCKS = 4


class DsCnn(nn.Sequential):
    """A convolution of 10 x 4 and four depthwise-separable ones; 2.7 M products for 49 x 10.

    Parameters
    ----------
    input_shape : (height, width, channels)
        (49, 10, 1) in the benchmark.
    classes : int

    Notes
    -----
    Zhang et al., *Hello Edge*, arXiv 1711.07128; Banbury et al., arXiv 2106.07597.
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int):
        check_images(input_shape, classes, at_least=4)
        super().__init__()
        self.conv = nn.Conv2d(
            input_shape[2], CHANNELS, (10, 4), stride=2, padding=(5, 1), bias=False
        )  # (n, 64, 25, 5)
        self.norm, self.relu = nn.BatchNorm2d(CHANNELS), nn.ReLU()
        for block in range(1, BLOCKS + 1):
            depthwise = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS, bias=False)
            self.add_module(f"depthwise{block}", depthwise)
            self.add_module(f"depthwise_norm{block}", nn.BatchNorm2d(CHANNELS))
            self.add_module(f"depthwise_relu{block}", nn.ReLU())
            self.add_module(f"pointwise{block}", nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False))
            self.add_module(f"pointwise_norm{block}", nn.BatchNorm2d(CHANNELS))
            self.add_module(f"pointwise_relu{block}", nn.ReLU())
        self.mean, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()  # (n, 64)
        self.linear = nn.Linear(CHANNELS, classes)
