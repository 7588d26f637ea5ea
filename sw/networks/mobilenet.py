"""MobileNets: V1 at a quarter of its channels, of MLPerf Tiny, and V2 for small photographs."""

from torch import nn

from downshift.sw.networks.checks import check_images

__all__ = ["MobileNetV1", "MobileNetV2"]


def _conv(inputs: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1, relu=None):
    """Make a convolution with its batch norm and, perhaps, a relu."""
    conv = nn.Conv2d(
        inputs, channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(channels), *([relu()] if relu else []))


class MobileNetV1(nn.Sequential):
    """V1 at a quarter of its channels; 7.5 M products for 96 x 96 pixels.

    Parameters
    ----------
    input_shape : (height, width, channels)
        (96, 96, 3) in the benchmark.
    classes : int

    Notes
    -----
    Howard et al., arXiv 1704.04861; Banbury et al., *MLPerf Tiny Benchmark*, arXiv 2106.07597.
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int):
        check_images(input_shape, classes, at_least=32)
        super().__init__()
        self.entrance = _conv(input_shape[2], 8, 3, stride=2, relu=nn.ReLU)  # (n, 8, h/2, w/2)
        inputs = 8
        plan = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2))
        for index, (channels, stride) in enumerate((*plan, (256, 1)), start=1):
            depthwise = _conv(inputs, inputs, 3, stride=stride, groups=inputs, relu=nn.ReLU)
            self.add_module(f"depthwise{index}", depthwise)
            self.add_module(f"pointwise{index}", _conv(inputs, channels, 1, relu=nn.ReLU))
            inputs = channels
        self.mean, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()  # (n, 256)
        self.linear = nn.Linear(inputs, classes)


class _Bottleneck(nn.Module):
    """Expansion, depthwise convolution and linear projection; with a skip where shapes allow."""

    def __init__(self, inputs: int, channels: int, stride: int, expansion: int):
        super().__init__()
        middle = inputs * expansion
        self.skips = stride == 1 and inputs == channels
        expand = [] if expansion == 1 else [_conv(inputs, middle, 1, relu=nn.ReLU6)]
        self.layers = nn.Sequential(
            *expand,
            _conv(middle, middle, 3, stride=stride, groups=middle, relu=nn.ReLU6),
            _conv(middle, channels, 1),
        )

    def forward(self, x):
        y = self.layers(x)
        return x + y if self.skips else y


class MobileNetV2(nn.Module):
    """V2 with strides for 32 x 32 pixels: 88 M products.

    Parameters
    ----------
    input_shape : (height, width, channels)
        At least 8 x 8 pixels.
    classes : int

    Notes
    -----
    Sandler et al., arXiv 1801.04381; entrance and second stage without strides, as is usual for
    CIFAR.
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int):
        check_images(input_shape, classes, at_least=8)
        super().__init__()
        self.entrance = _conv(input_shape[2], 32, 3, relu=nn.ReLU6)  # (n, 32, h, w)
        blocks, inputs = [], 32
        for expansion, channels, n, stride in (
            (1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1),
        ):  # fmt: skip
            for index in range(n):
                blocks.append(_Bottleneck(inputs, channels, stride if index == 0 else 1, expansion))
                inputs = channels
        self.blocks = nn.Sequential(*blocks)  # (n, 320, h / 8, w / 8)
        self.exit = _conv(inputs, 1280, 1, relu=nn.ReLU6)
        self.linear = nn.Linear(1280, classes)

    def forward(self, x):
        return self.linear(self.exit(self.blocks(self.entrance(x))).mean((2, 3)))
