"""Residual networks for small photographs: ResNet-8 of MLPerf Tiny, and ResNet-20."""

import torch.nn.functional as F
from torch import nn

from downshift.sw.networks.checks import check_images

__all__ = ["ResNet8", "ResNet20"]


class _PostBlock(nn.Module):
    """Two convolutions, each with a batch norm; the sum with the skip goes through a relu."""

    def __init__(self, inputs: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=False)
        self.norm1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(channels), nn.ReLU()
        self.skip = nn.Conv2d(inputs, channels, 1, stride=stride) if stride > 1 else None

    def forward(self, x):
        y = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        return self.relu2(y + (x if self.skip is None else self.skip(x)))


class ResNet8(nn.Module):
    """Three blocks of 16, 32 and 64 channels; 12.5 M products for 32 x 32 pixels.

    Parameters
    ----------
    input_shape : (height, width, channels)
        At least 4 x 4 pixels.
    classes : int

    Notes
    -----
    Banbury et al., *MLPerf Tiny Benchmark*, arXiv 2106.07597.
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int):
        check_images(input_shape, classes, at_least=4)
        super().__init__()
        self.conv = nn.Conv2d(input_shape[2], 16, 3, padding=1, bias=False)  # (n, 16, h, w)
        self.norm, self.relu = nn.BatchNorm2d(16), nn.ReLU()
        self.block1 = _PostBlock(16, 16, 1)
        self.block2 = _PostBlock(16, 32, 2)  # (n, 32, h / 2, w / 2)
        self.block3 = _PostBlock(32, 64, 2)  # (n, 64, h / 4, w / 4)
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        x = self.block3(self.block2(self.block1(x)))
        return self.linear(x.mean((2, 3)))


class _PreBlock(nn.Module):
    """Two convolutions, each behind a batch norm and a relu; nothing follows the sum.

    Where the shape changes, the skip takes what the first relu gives, and has no batch norm.
    """

    def __init__(self, inputs: int, channels: int, stride: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        changes = stride > 1 or inputs != channels
        self.skip = nn.Conv2d(inputs, channels, 1, stride=stride, bias=False) if changes else None

    def forward(self, x):
        y = F.relu(self.norm1(x))
        kept = x if self.skip is None else self.skip(y)
        return kept + self.conv2(F.relu(self.norm2(self.conv1(y))))


class ResNet20(nn.Module):
    """Nine blocks of 16, 32 and 64 channels, pre-activation; 41 M products for 32 x 32 pixels.

    Parameters
    ----------
    input_shape : (height, width, channels)
        At least 4 x 4 pixels.
    classes : int

    Notes
    -----
    He et al., *Identity Mappings in Deep Residual Networks*, arXiv 1603.05027.
    """

    def __init__(self, input_shape: tuple[int, int, int], classes: int):
        check_images(input_shape, classes, at_least=4)
        super().__init__()
        self.conv = nn.Conv2d(input_shape[2], 16, 3, padding=1, bias=False)  # (n, 16, h, w)
        blocks, inputs = [], 16
        for channels, stride in ((16, 1), (32, 2), (64, 2)):
            for index in range(3):
                blocks.append(_PreBlock(inputs, channels, stride if index == 0 else 1))
                inputs = channels
        self.blocks = nn.Sequential(*blocks)  # (n, 64, h / 4, w / 4)
        self.norm = nn.BatchNorm2d(64)
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.norm(self.blocks(self.conv(x))))
        return self.linear(x.mean((2, 3)))
