"""A layer in real numbers, as files of other tools describe it, and what it computes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from downshift.hw.max_pool import max_pool
from downshift.hw.window import im2col
from downshift.sw.graph.integer_setting import Codes
from downshift.sw.graph.layer import INPUT, Layer, Pool

__all__ = [
    "RealLayer",
    "RealNetwork",
    "StoredWeights",
    "Thresholds",
    "identity_weights",
    "run_network",
]

REACHED = 3
"""Code of a threshold that is reached, 0 otherwise: 2 bits, the fewest that accelerators run."""
IDENTITY_CODE = 64
"""Of a weight that is 1: a power of two that every width from 2 bits on keeps."""
SAMPLE_BYTES = 1 << 26
"""Unfolded windows of one batch stay below this."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredWeights:
    """Weights as integers: ``scale * codes``."""

    codes: np.ndarray
    """int8, (out_channels, in_channels // groups, kernel_height, kernel_width)."""
    scale: np.ndarray
    """float64, (out_channels,); positive."""
    width: int = 8
    """Bits that the codes need, 1…8; of 1 bit they are -1 and 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Thresholds:
    """A quantizer as comparisons: real value ``base + scale * (thresholds that are reached)``.

    Each threshold is an output channel, next to the others of its channel.
    """

    places: np.ndarray
    """float64, (channels * count,): what sums must reach."""
    strict: np.ndarray
    """bool, (channels * count,): whether sums must be beyond."""
    count: int
    """Thresholds of a channel."""
    scale: float
    base: float


@dataclass(kw_only=True, eq=False)
class RealLayer:
    """A convolution and what follows it, while a file is being read.

    In this order: sums of products, bias, `residual`, limits, codes, max pool.
    """

    name: str
    weight: np.ndarray
    """float64, (out_channels, in_channels // groups, kernel_height, kernel_width)."""
    bias: np.ndarray
    """float64, (out_channels,)."""
    source: str
    """Map that enters: "input" or an earlier layer."""
    shape: tuple[int, int, int]
    """(height, width, channels) that the layer gives."""
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Above, below, left, right."""
    groups: int = 1
    """1, or the channels of input and output."""
    average: bool = False
    """The weights meet the mean of all pixels."""
    residual: str | None = None
    """Map that is added."""
    residual_gain: np.ndarray | None = None
    """float64, (out_channels,): what it is multiplied by; positive."""
    low: float = -np.inf
    high: float = np.inf
    """What the sums are clipped to."""
    pool: Pool | None = None
    stored: StoredWeights | None = None
    """`weight` as integers, if they are known."""
    codes: Codes | None = None
    """What the output is quantized to, if it is known."""
    thresholds: Thresholds | None = None
    """What the output is compared with; `codes` are then those of one comparison."""
    pinned: bool = False
    """Its weights have their bits at every width."""
    wide: bool = False
    """Its codes have 8 bits at every width: they are only added to others."""
    completed_by: "RealLayer | None" = None
    """The layer that adds more channels to this one's map."""

    @property
    def is_linear(self) -> bool:
        """Whether nothing but sums has happened yet."""
        return not self.is_clipped and self.codes is None and self.pool is None

    @property
    def like(self) -> "RealLayer | None":
        """The layer whose codes this one has, too: what completes it, unless that scales it."""
        other = self.completed_by
        if other is None or other.bias.any() or (other.residual_gains != 1).any():
            return None
        return other

    @property
    def given_codes(self) -> Codes | None:
        """Codes that the file gives its map, or that of the layer that completes it."""
        layer = self
        while layer.codes is None and layer.like is not None:
            layer = layer.like
        return layer.codes

    @property
    def limits(self) -> tuple[float, float]:
        """What the sums are clipped to."""
        return self.low, self.high

    @property
    def residual_gains(self) -> np.ndarray:
        """What the residual is multiplied by, of every channel."""
        return np.ones(len(self.bias)) if self.residual_gain is None else self.residual_gain

    @property
    def channels(self) -> int:
        """Channels that it gives, each of as many thresholds as there are."""
        return self.shape[2] // (1 if self.thresholds is None else self.thresholds.count)

    @property
    def is_clipped(self) -> bool:
        """Whether sums have limits."""
        return self.low > -np.inf or self.high < np.inf

    def scale_by(self, gain: np.ndarray, offset: np.ndarray) -> None:
        """Let the sums be ``gain * sums + offset``, by channel; of a residual too, if positive."""
        if self.residual is not None:
            self.residual_gain = self.residual_gains * gain
        self.weight = self.weight * gain[:, None, None, None]
        self.bias = self.bias * gain + offset
        if self.stored is not None:
            self.stored = _scaled(self.stored, gain)

    def integer_layer(self, codes: np.ndarray) -> Layer:
        """The layer of an integer graph with weights `codes`, without settings."""
        return Layer(
            name=self.name, weight=codes, stride=self.stride, padding=self.padding,
            pool=self.pool, settings={}, groups=self.groups, source=self.source,
            residual=self.residual, average=self.average,
        )  # fmt: skip


@dataclass(kw_only=True, eq=False)
class RealNetwork:
    """Layers in real numbers, each after those whose maps it takes."""

    name: str
    input_shape: tuple[int, int, int]
    """(height, width, channels); of a network that looks at all of it at once, all channels."""
    given: Mapping[str, int]
    """Sizes of the axes of one input as the file has them, in its order; of "h", "w" and "c"."""
    layers: list[RealLayer] = field(default_factory=list)
    input_codes: Codes | None = None
    """What the input is quantized to, if it is known."""
    input_gain: float = 1.0
    input_offset: float = 0.0
    """What is given is multiplied by the gain before the offset is added, then it enters."""
    input_low: float = -np.inf
    input_high: float = np.inf
    """What it is clipped to."""
    output_codes: Codes | None = None
    """What the file quantizes the logits to."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Where it comes from; goes into graphs."""


def _scaled(stored: StoredWeights, gain: np.ndarray) -> StoredWeights | None:
    """Weights multiplied by a factor of each channel; None if they are then no int8."""
    codes = stored.codes * np.sign(gain).astype(np.int64)[:, None, None, None]
    if codes.max(initial=0) > 127 or (stored.width == 1 and not codes.all()):
        return None
    scale = np.where(gain == 0, 1.0, np.abs(gain)) * stored.scale
    return StoredWeights(codes=codes.astype(np.int8), scale=scale, width=stored.width)


def identity_weights(
    channels: int,
    *,
    dense: bool = False,
    first: int = 0,
    of: int | None = None,
    window: tuple[int, int] = (1, 1),
) -> tuple[np.ndarray, StoredWeights]:
    """Weights of a convolution that gives what it takes, or the mean of its windows.

    Parameters
    ----------
    channels : int
        That enter.
    dense : bool
        All channels meet all: otherwise the convolution is depthwise.
    first, of : int
        With `dense`: where the channels lie among those that come out, and how many come out.
    window : (int, int)
        Rows and columns of the kernel; (1, 1) with `dense`.

    Returns
    -------
    (float64 array, StoredWeights)
    """
    outputs = of or channels
    if dense:
        codes = np.zeros((outputs, channels, 1, 1), np.int8)
        codes[first + np.arange(channels), np.arange(channels)] = IDENTITY_CODE
    else:
        codes = np.full((outputs, 1, *window), IDENTITY_CODE, np.int8)
    one = 1 / (IDENTITY_CODE * window[0] * window[1])
    return codes * one, StoredWeights(codes=codes, scale=np.full(outputs, one))


def run_network(network: RealNetwork, images: np.ndarray) -> dict[str, np.ndarray]:
    """What a network computes in real numbers.

    Parameters
    ----------
    network : RealNetwork
    images : array, shape (n, height, width, channels)
        As they are given, before the input's gain and offset.

    Returns
    -------
    dict of str to float32 array, shape (n, height, width, channels)
        Sums of every layer, before limits, codes and pool, by its name.
    """
    real = images.astype(np.float32) * network.input_gain + network.input_offset
    maps, sums = {INPUT: real.astype(np.float32)}, {}
    for layer in network.layers:
        sums[layer.name] = _sums(layer, maps[layer.source])
        if layer.residual is not None:
            sums[layer.name] += maps[layer.residual] * layer.residual_gains.astype(np.float32)
        maps[layer.name] = np.clip(sums[layer.name], layer.low, layer.high)
        if layer.thresholds is not None:
            reached = reaches(sums[layer.name].astype(np.float64), layer.thresholds)
            maps[layer.name] = reached * np.float32(layer.thresholds.scale)
        if layer.pool is not None:
            maps[layer.name] = max_pool(
                maps[layer.name], size=layer.pool.size, stride=layer.pool.stride
            )
    return sums


def reaches(sums: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """Which thresholds sums reach, 0 or 1, the shape of the sums."""
    beyond = sums > thresholds.places
    return np.where(thresholds.strict, beyond, beyond | (sums == thresholds.places)) * 1


def _sums(layer: RealLayer, x: np.ndarray) -> np.ndarray:
    """Sums of products and biases of one layer."""
    weight = layer.weight.astype(np.float32)
    if layer.average:
        sums = x.mean(axis=(1, 2), keepdims=True) @ weight[:, :, 0, 0].T
    else:
        image_bytes = layer.weight[0].size * x.shape[1] * x.shape[2] * 4
        parts = -(-len(x) * image_bytes // SAMPLE_BYTES) or 1
        rows = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
        sums = np.concatenate([_convolve(layer, part, rows) for part in np.array_split(x, parts)])
    return sums + layer.bias.astype(np.float32)


def _convolve(layer: RealLayer, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    kernel = layer.weight.shape[2], layer.weight.shape[3]
    windows = im2col(
        x, kernel=kernel, stride=layer.stride, padding=layer.padding, zero_point=0
    )  # (n, y, x, ky, kx, channels)
    if layer.groups > 1:
        taps = rows.reshape(len(rows), *kernel)
        return np.einsum("nyxhwc,chw->nyxc", windows, taps)
    return windows.reshape(*windows.shape[:3], -1) @ rows.T
