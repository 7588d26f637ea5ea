"""Random layers without settings: geometry and weights of any legal link of a network."""

from dataclasses import replace
from enum import Enum

import numpy as np

from downshift.sw.graph.integer_graph import Layer, Pool

__all__ = ["Feature", "random_block"]


class Feature(Enum):
    """What a random network is made of."""

    PLAIN = "a convolution, maybe with a pool"
    IDENTITY = "two layers, and their input added to the sums of the second"
    SKIP = "two layers, and their input through a 1x1 convolution added likewise"
    DEPTHWISE = "a depthwise layer"
    WIDE = "three layers of many channels and two bits, the first added to the sums of the last"
    AVERAGE = "a last layer that takes the sum of all pixels"

    @property
    def n_layers(self) -> int:
        """Layers that it takes."""
        return {Feature.IDENTITY: 2, Feature.SKIP: 3, Feature.WIDE: 3}.get(self, 1)


def random_block(
    rng: np.random.Generator,
    feature: Feature,
    names: list[str],
    *,
    source: str,
    shape: tuple[int, int, int],
    last: bool,
) -> list[Layer]:
    """Draw the layers of a feature.

    Parameters
    ----------
    rng : numpy.random.Generator
    feature : Feature
    names : list of str
        Names for the layers, as many as they are.
    source : str
        Map that enters.
    shape : (height, width, channels)
        Of that map.
    last : bool
        Whether the block gives logits.

    Returns
    -------
    list of Layer
        Their settings are empty.
    """
    if feature is Feature.IDENTITY:
        middle = int(rng.integers(1, 21))
        return [
            _same(rng, names[0], shape, middle),
            _same(rng, names[1], (*shape[:2], middle), shape[2], residual=source),
        ]
    if feature is Feature.WIDE:
        middle, channels = rng.integers(17, 41, 2).tolist()
        first = _same(rng, names[0], shape, channels)
        inner = [(*shape[:2], channels), (*shape[:2], middle)]
        return [
            first,
            _same(rng, names[1], inner[0], middle),
            _same(rng, names[2], inner[1], channels, residual=first.name),
        ]
    if feature is Feature.SKIP:
        return _skip(rng, names, source, shape)
    if feature is Feature.AVERAGE:
        return [
            replace(_pointwise(rng, names[0], shape[2], int(rng.integers(1, 21))), average=True)
        ]
    return [_window(rng, names[0], shape, last=last, depthwise=feature is Feature.DEPTHWISE)]


def _window(rng, name, shape, *, last, depthwise) -> Layer:
    """A layer of any kernel, stride and padding that fits its input."""
    height, width, channels = shape
    kernel = (int(rng.integers(1, min(4, height) + 1)), int(rng.integers(1, min(4, width) + 1)))
    top, bottom, left, right = (int(rng.integers(0, size)) for size in np.repeat(kernel, 2))
    out_channels = channels if depthwise else int(rng.integers(1, 21))
    seen = 1 if depthwise else channels
    layer = Layer(
        name=name,
        weight=rng.integers(-128, 128, (out_channels, seen, *kernel)).astype(np.int8),
        stride=(int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        padding=(top, bottom, left, right),
        pool=None,
        settings={},
        groups=channels if depthwise else 1,
    )
    out_height, out_width, _ = layer.conv_shape(shape)
    if last or rng.integers(0, 2):
        return layer
    size = (
        int(rng.integers(1, min(3, out_height) + 1)),
        int(rng.integers(1, min(3, out_width) + 1)),
    )
    pool = Pool(size=size, stride=(int(rng.integers(1, 4)), int(rng.integers(1, 4))))
    return replace(layer, pool=pool)


def _skip(rng, names, source, shape) -> list[Layer]:
    """Two layers and the one beside them, which comes first or second."""
    stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    middle, out_channels = rng.integers(1, 21, 2).tolist()
    beside = int(rng.integers(0, 2))
    skip = _pointwise(rng, names[beside], shape[2], out_channels, stride=stride)
    first = _same(rng, names[1 - beside], shape, middle, stride=stride)
    second = _same(rng, names[2], first.out_shape(shape), out_channels, residual=skip.name)
    pair = sorted([skip, first], key=lambda layer: names.index(layer.name))
    return [*(replace(layer, source=source) for layer in pair), replace(second, source=first.name)]


def _pointwise(rng, name, in_channels, out_channels, *, stride=(1, 1)) -> Layer:
    """A layer that sees one pixel at a time."""
    return Layer(
        name=name,
        weight=rng.integers(-128, 128, (out_channels, in_channels, 1, 1)).astype(np.int8),
        stride=stride,
        padding=(0, 0, 0, 0),
        pool=None,
        settings={},
    )


def _same(rng, name, shape, out_channels, *, stride=(1, 1), residual=None) -> Layer:
    """A layer with as many windows as pixels, but for its stride."""
    height, width, channels = shape
    kernel = (int(rng.integers(1, min(4, height) + 1)), int(rng.integers(1, min(4, width) + 1)))
    top, left = (int(rng.integers(0, size)) for size in kernel)
    return Layer(
        name=name,
        weight=rng.integers(-128, 128, (out_channels, channels, *kernel)).astype(np.int8),
        stride=stride,
        padding=(top, kernel[0] - 1 - top, left, kernel[1] - 1 - left),
        pool=None,
        settings={},
        residual=residual,
    )
