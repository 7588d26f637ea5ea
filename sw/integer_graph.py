"""The integer graph: a trained network as integers only, at every width it runs at."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from downshift.hw.errors import DownshiftError

__all__ = ["IntegerGraph", "Layer", "Pool", "Setting"]

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

    `bias` absorbs the folded batch norm and ``-zero_point_in * sum(weights)``.
    """

    weight_width: int
    """Bits of the running weights, 2…8."""
    in_width: int
    """Bits of the input codes, 2…8."""
    out_width: int
    """Bits of the output codes, 2…8; 32 for logits."""
    zero_point_in: int
    """Code of zero in the input, which also pads."""
    zero_point_out: int
    """Code of zero in the output; 0 for logits."""
    bias: np.ndarray
    """int32, (out_channels,)."""
    multiplier: np.ndarray
    """uint16, (out_channels,); normalised to 2**15…2**16 - 1; 0 for logits."""
    shift: np.ndarray
    """uint8, (out_channels,); 0…63."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A convolution with an optional max pool; a fully connected layer spans its whole input."""

    name: str
    weight: np.ndarray
    """int8, (out_channels, in_channels, kernel_height, kernel_width): stored once."""
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    """Above, below, left, right."""
    pool: Pool | None
    settings: Mapping[int, Setting]
    """By width of the network."""

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
        return self.weight.shape[1]

    def conv_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(height, width, channels) before the pool, from those of the input."""
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


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerGraph:
    """A chain of layers: int8 weights once, and what each width needs beside them.

    Parameters
    ----------
    name : str
    input_shape : (height, width, channels)
    input_scale : float
        Real value of one input code; the only float, used to quantize inputs before they enter.
    layers : tuple of Layer
        In order; the last one gives logits.
    provenance : mapping of str to str
        Where the graph came from; informative.

    Raises
    ------
    DownshiftError
        If the parts do not fit together; the message names the layer.
    """

    name: str
    input_shape: tuple[int, int, int]
    input_scale: float
    layers: tuple[Layer, ...]
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if not self.layers:
            raise DownshiftError(f"Network {self.name} has no layers")
        if not (np.isfinite(self.input_scale) and self.input_scale > 0):
            raise DownshiftError(f"Input scale must be positive, not {self.input_scale!r}")
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise DownshiftError(f"Layer names must differ, not {names!r}")
        shape = self.input_shape
        for index, layer in enumerate(self.layers):
            shape = _checked_shape(layer, shape)
            if set(layer.settings) != set(self.widths):
                raise DownshiftError(
                    f"Layer {layer.name} has widths {sorted(layer.settings)}, "
                    f"the first layer {sorted(self.widths)}"
                )
            following = self.layers[index + 1] if index + 1 < len(self.layers) else None
            for width, setting in layer.settings.items():
                _check_setting(layer, width, setting, following)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths the network runs at, highest first."""
        return tuple(sorted(self.layers[0].settings, reverse=True))

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(height, width, channels) of the input and of every layer's output."""
        shapes = [self.input_shape]
        for layer in self.layers:
            shapes.append(layer.out_shape(shapes[-1]))
        return tuple(shapes)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(
            layer.macs(shape) for layer, shape in zip(self.layers, self.shapes, strict=False)
        )

    @property
    def weight_bytes(self) -> int:
        """Bytes of the stored weights."""
        return sum(layer.weight.size for layer in self.layers)

    def check_width(self, width: int) -> None:
        """Raise `DownshiftError` unless the network runs at `width`."""
        if width not in self.widths:
            have = ", ".join(map(str, self.widths))
            raise DownshiftError(f"Network {self.name} runs at widths {have}, not {width!r}")


def _checked_shape(layer: Layer, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shape of the output of `layer`, after checking that the input fits it."""
    where = f"Layer {layer.name}"
    if layer.weight.dtype != np.int8 or layer.weight.ndim != 4 or not layer.weight.size:
        raise DownshiftError(
            f"{where}: weight must be int8 of 4 dimensions, "
            f"not {layer.weight.dtype} of shape {layer.weight.shape}"
        )
    steps = [*layer.stride, *(layer.pool.size + layer.pool.stride if layer.pool else ())]
    if min(steps) < 1 or min(layer.padding) < 0:
        raise DownshiftError(f"{where}: strides and windows must be positive, padding not negative")
    if layer.in_channels != shape[2]:
        raise DownshiftError(
            f"{where} expects {layer.in_channels} input channels, the layer before gives {shape[2]}"
        )
    if layer.padding[0] >= layer.kernel[0] or layer.padding[2] >= layer.kernel[1]:
        raise DownshiftError(f"{where}: padding {layer.padding} exceeds the kernel {layer.kernel}")
    out = layer.out_shape(shape)
    if min(out) < 1 or min(layer.conv_shape(shape)) < 1:
        raise DownshiftError(f"{where}: an input of shape {shape} is too small for its windows")
    return out


def _check_setting(layer: Layer, width: int, setting: Setting, following: Layer | None) -> None:
    """Check one layer at one width, and that the next layer takes what it gives."""
    where = f"Layer {layer.name} at width {width}"
    if not 2 <= setting.weight_width <= 8 or not 2 <= setting.in_width <= 8:
        raise DownshiftError(
            f"{where}: weights and input must have 2 to 8 bits, "
            f"not {setting.weight_width} and {setting.in_width}"
        )
    for name, dtype in (("bias", np.int32), ("multiplier", np.uint16), ("shift", np.uint8)):
        array = getattr(setting, name)
        if array.dtype != dtype or array.shape != (layer.out_channels,):
            raise DownshiftError(
                f"{where}: {name} must be {np.dtype(dtype)} of shape ({layer.out_channels},), "
                f"not {array.dtype} of shape {array.shape}"
            )
    if not 0 <= setting.zero_point_in < 1 << setting.in_width:
        raise DownshiftError(f"{where}: input zero point {setting.zero_point_in} out of range")
    if following is None:
        if setting.out_width != LOGIT_WIDTH:
            raise DownshiftError(f"{where}: the last layer gives logits, not codes")
        if layer.pool is not None:
            raise DownshiftError(f"{where}: logits cannot be pooled")
        return
    then = following.settings.get(width)
    given = (setting.out_width, setting.zero_point_out)
    if then is not None and given != (then.in_width, then.zero_point_in):
        raise DownshiftError(
            f"{where} gives codes of (width, zero point) {given}, "
            f"layer {following.name} takes {(then.in_width, then.zero_point_in)}"
        )
    if not 0 <= setting.zero_point_out < 1 << setting.out_width:
        raise DownshiftError(f"{where}: output zero point {setting.zero_point_out} out of range")
    if setting.shift.max() > 63:
        raise DownshiftError(f"{where}: shift must be at most 63, not {setting.shift.max()}")
    if setting.multiplier.min() < 1 << 15:
        raise DownshiftError(f"{where}: multipliers must be normalised to 32768..65535")
