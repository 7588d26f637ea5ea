"""The networks of MLPerf Tiny, and ResNet-20, as integer graphs with seeded random weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph, Layer, Setting
from downshift.sw.graph.layer_golden import run_layer
from downshift.sw.graph.seeded_setting import seeded_setting

__all__ = ["REFERENCE_NETWORKS", "reference_network"]


def reference_network(
    name: str,
    *,
    widths: Sequence[int] = (8, 6, 4, 2),
    mixed: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    seed: int = 0,
) -> IntegerGraph:
    """Build a network whose shape is published, its weights drawn.

    Weights fill int8 evenly. Scales and biases spread the codes of every layer over their range, on
    inputs drawn evenly from all codes of the width. The setting of a width depends on `seed` alone,
    not on the other widths.

    Parameters
    ----------
    name : str
        One of `REFERENCE_NETWORKS`.
    widths : sequence of int
        Widths of the network, 2…8; each is that of all weights, inputs and outputs.
    mixed : mapping of int to sequence of (int, int), optional
        By width, what it means instead: bits of the weights of a layer and of the codes that leave
        it, layer after layer and from the first again. The input has as many as the first layer's.
    seed : int

    Returns
    -------
    IntegerGraph

    Raises
    ------
    DownshiftError
        If there is no such network, or a width is out of range or given twice.

    Notes
    -----
    MLPerf Tiny: Banbury et al., arXiv 2106.07597, and its reference models in Keras. ResNet-20: He
    et al., arXiv 1512.03385, with 1x1 convolutions where the shape changes. Every sum goes through
    a relu but those that are only added to others: their code of zero is in mid range.

    Examples
    --------
    >>> reference_network("autoencoder", widths=(8,)).macs
    264192
    """
    if name not in REFERENCE_NETWORKS:
        raise DownshiftError(
            f"There is no reference network {name!r}; choose one of {', '.join(REFERENCE_NETWORKS)}"
        )
    widths = tuple(widths)
    if not widths or not set(widths) <= set(range(2, 9)) or len(set(widths)) < len(widths):
        raise DownshiftError(f"Widths must be different numbers in 2..8, not {widths!r}")
    shape, describe = REFERENCE_NETWORKS[name]
    sketch = _Sketch(np.random.default_rng(seed), shape)
    describe(sketch)
    bits = {width: [(width, width)] for width in widths} | dict(mixed or {})
    settings = {
        width: _settings(sketch.layers, shape, bits[width], np.random.default_rng([seed, width]))
        for width in widths
    }
    layers = tuple(
        replace(layer, settings={width: settings[width][layer.name] for width in widths})
        for layer in sketch.layers
    )
    return IntegerGraph(
        name=name,
        input_shape=shape,
        input_scale=1 / ((1 << max(widths)) - 1),
        layers=layers,
        provenance={"weights": f"drawn, seed {seed}"},
    )


class _Sketch:
    """Layers without settings, and the shapes of their maps, in the order they are called for."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int, int]):
        self.rng = rng
        self.shapes = {INPUT: shape}
        self.layers: list[Layer] = []

    def conv(
        self,
        name: str,
        channels: int,
        *,
        kernel: tuple[int, int] = (3, 3),
        stride: int = 1,
        depthwise: bool = False,
        source: str | None = None,
        residual: str | None = None,
        average: bool = False,
    ) -> str:
        """Add a convolution with as many windows as pixels, but for its stride; give its name."""
        source = source or next(reversed(self.shapes))
        height, width, in_channels = self.shapes[source]
        shape = (channels, 1 if depthwise else in_channels, *kernel)
        layer = Layer(
            name=name,
            weight=self.rng.integers(-127, 128, shape).astype(np.int8),
            stride=(stride, stride),
            padding=(*_same(height, kernel[0], stride), *_same(width, kernel[1], stride)),
            pool=None,
            settings={},
            groups=channels if depthwise else 1,
            source=source,
            residual=residual,
            average=average,
        )
        self.layers.append(layer)
        self.shapes[name] = layer.out_shape(self.shapes[source])
        return name

    def point(self, name: str, channels: int, **options) -> str:
        """Add a 1x1 convolution: on a map of one pixel, a fully connected layer."""
        return self.conv(name, channels, kernel=(1, 1), **options)


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after, as TensorFlow's 'same': the odd one comes after."""
    windows = -(-size // stride)
    total = max((windows - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _resnet(sketch: _Sketch, blocks: int) -> None:
    before = sketch.conv("conv", 16)
    for stack, channels in enumerate((16, 32, 64), start=1):
        for block in range(1, blocks + 1):
            name, stride, skip = f"stack{stack}.block{block}", 1, before
            if stack > 1 and block == 1:
                stride = 2
                skip = sketch.point(f"{name}.skip", channels, stride=2, source=before)
            sketch.conv(f"{name}.conv1", channels, stride=stride, source=before)
            before = sketch.conv(f"{name}.conv2", channels, residual=skip)
    sketch.point("linear", 10, average=True)


def _resnet8(sketch: _Sketch) -> None:
    _resnet(sketch, blocks=1)


def _resnet20(sketch: _Sketch) -> None:
    _resnet(sketch, blocks=3)


def _dscnn(sketch: _Sketch) -> None:
    sketch.conv("conv", 64, kernel=(10, 4), stride=2)
    for block in range(1, 5):
        sketch.conv(f"block{block}.depthwise", 64, depthwise=True)
        sketch.point(f"block{block}.pointwise", 64)
    sketch.point("linear", 12, average=True)


def _mobilenetv1(sketch: _Sketch) -> None:
    channels = 8
    sketch.conv("conv", channels, stride=2)
    outputs = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
    for block, out_channels in enumerate(outputs, start=1):
        stride = 2 if block in (2, 4, 6, 12) else 1
        sketch.conv(f"block{block}.depthwise", channels, stride=stride, depthwise=True)
        sketch.point(f"block{block}.pointwise", out_channels)
        channels = out_channels
    sketch.point("linear", 2, average=True)


def _autoencoder(sketch: _Sketch) -> None:
    for index, outputs in enumerate((128, 128, 128, 128, 8, 128, 128, 128, 128, 640), start=1):
        sketch.point(f"linear{index}", outputs)


REFERENCE_NETWORKS: dict[str, tuple[tuple[int, int, int], Callable[[_Sketch], None]]] = {
    "resnet8": ((32, 32, 3), _resnet8),
    "dscnn": ((49, 10, 1), _dscnn),
    "mobilenetv1": ((96, 96, 3), _mobilenetv1),
    "autoencoder": ((1, 1, 640), _autoencoder),
    "resnet20": ((32, 32, 3), _resnet20),
}
"""By name: shape of the input, and what draws the layers."""


def _settings(
    layers: Sequence[Layer],
    shape: tuple[int, int, int],
    bits: Sequence[tuple[int, int]],
    rng: np.random.Generator,
) -> dict[str, Setting]:
    """Settings of all layers at one width, from a batch that runs through them."""
    code_bits: dict[str | None, int] = {INPUT: bits[0][1]}
    images = max(8, 256 // (shape[0] * shape[1]))
    maps: dict[str | None, np.ndarray] = {
        INPUT: rng.integers(0, 1 << code_bits[INPUT], (images, *shape)).astype(np.uint8)
    }
    zero_points: dict[str | None, int] = {INPUT: 0}
    entering = {layer.source for layer in layers}
    settings = {}
    for layer, (weight_width, out_width) in zip(layers, cycle(bits), strict=False):
        x, residual = maps[layer.source], maps.get(layer.residual)
        zero_points[layer.name] = 0 if layer.name in entering else 1 << out_width - 1
        code_bits[layer.name] = out_width
        logits = layer is layers[-1]
        setting = settings[layer.name] = seeded_setting(
            rng,
            layer,
            x,
            residual,
            weight_width=weight_width,
            in_width=code_bits[layer.source],
            out_width=LOGIT_WIDTH if logits else out_width,
            zero_point_in=zero_points[layer.source],
            zero_point_out=0 if logits else zero_points[layer.name],
        )
        maps[layer.name] = run_layer(layer, setting, x, residual)
    return settings
