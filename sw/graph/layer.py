"""A layer of the integer graph: its weights, its geometry, and its numbers at every width."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from downshift.hw.precision_switch import precision_switch

__all__ = ["INPUT", "LOGIT_WIDTH", "Layer", "Pool", "Setting"]

INPUT = "input"
"""Name of the map that enters the network; every other map has the name of its layer."""
LOGIT_WIDTH = 32
"""`out_width` of the last layer, whose outputs are int32 logits instead of codes."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Max pooling after a layer; windows that would leave the map are dropped."""

    size: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """A layer at one width of the network.

    The sums `acc` of a layer become codes as `downshift.hw.requantize.requantize` does it::

        clip(rhe((acc + bias) * multiplier / 2**shift) + zero_point_out, 0, out_max)

    With a residual, ``(acc << residual_shift) + residual_code * residual_multiplier`` takes the
    place of `acc`, so bias and multiplier are in units of the shifted sum.

    `bias` absorbs the folded batch norm, ``-zero_point_in * sum(weights)`` (times the pixels of the
    input in a layer that averages), and ``-zero_point * residual_multiplier`` of the residual.
    """

    weight_width: int
    """Bits of the running weights, 1…8; of 1 bit they are -1 and 1."""
    in_width: int
    """Bits of the input codes, 1…8."""
    out_width: int
    """Bits of the output codes, 1…8; 32 for logits."""
    zero_point_in: int
    """Code of zero in the input, which also pads."""
    zero_point_out: int
    """Code of zero in the output; 0 for logits."""
    bias: np.ndarray
    """int32, (out_channels,)."""
    multiplier: np.ndarray
    """uint16, normalised to 2**15…2**16 - 1, or uint32, to 2**23…2**24 - 1; (out_channels,);
    0 for logits."""
    shift: np.ndarray
    """uint8, (out_channels,); 0…63."""
    residual_multiplier: np.ndarray | None = None
    """uint16, (out_channels,); 1…2**16 - 1; None without a residual."""
    residual_shift: int = 0
    """0…6; 0 without a residual."""
    centred: bool = False
    """Running weights of 3 bits stand in the middle of the steps that 2 bits have."""
    largest: int | None = None
    """Largest output code, if that is less than its bits can hold."""

    @property
    def out_max(self) -> int:
        """Largest output code; of no meaning for logits."""
        return (1 << self.out_width) - 1 if self.largest is None else self.largest

    def running(self, weight: np.ndarray) -> np.ndarray:
        """Running weights from the stored ones: int8, the shape of `weight`."""
        return precision_switch(weight, width=self.weight_width, centred=self.centred)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A convolution with an optional residual or max pool.

    A fully connected layer spans its whole input. A depthwise one has as many groups as channels.
    """

    name: str
    weight: np.ndarray
    """int8, (out_channels, in_channels // groups, kernel_height, kernel_width): stored once."""
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    """Above, below, left, right."""
    pool: Pool | None
    settings: Mapping[int, Setting]
    """By width of the network."""
    groups: int = 1
    """1, or the channels of input and output: each output channel then sees its own input alone."""
    source: str | None = None
    """Map that enters, "input" or an earlier layer; None for the layer before."""
    residual: str | None = None
    """Map of the output's shape, "input" or an earlier layer, that is added to the sums."""
    average: bool = False
    """The weights meet the sum of all pixels of the input; its mean, by a scale that divides."""

    @property
    def kernel(self) -> tuple[int, int]:
        """Kernel height and width."""
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def out_channels(self) -> int:
        """Channels of the output."""
        return self.weight.shape[0]

    @property
    def in_channels(self) -> int:
        """Channels of the input."""
        return self.weight.shape[1] * self.groups

    def conv_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(height, width, channels) before the pool, from those of the input."""
        if self.average:
            return 1, 1, self.out_channels
        top, bottom, left, right = self.padding
        height = (shape[0] + top + bottom - self.kernel[0]) // self.stride[0] + 1
        width = (shape[1] + left + right - self.kernel[1]) // self.stride[1] + 1
        return height, width, self.out_channels

    def out_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(height, width, channels) of the output, from those of the input."""
        height, width, channels = self.conv_shape(shape)
        if self.pool is None:
            return height, width, channels
        return (
            (height - self.pool.size[0]) // self.pool.stride[0] + 1,
            (width - self.pool.size[1]) // self.pool.stride[1] + 1,
            channels,
        )

    def macs(self, shape: tuple[int, int, int]) -> int:
        """Multiply-accumulates on an input of `shape`."""
        height, width, _ = self.conv_shape(shape)
        return height * width * self.weight.size
