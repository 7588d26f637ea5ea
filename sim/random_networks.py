"""Random networks: any legal chain of layers, to hold hardware against golden."""

from dataclasses import replace

import numpy as np

from downshift.hw.config import AcceleratorConfig
from downshift.sim.verify import Case
from downshift.sw.compiler import compile_graph
from downshift.sw.integer_graph import LOGIT_WIDTH, IntegerGraph, Layer, Pool, Setting

__all__ = ["random_case", "random_codes", "random_network"]


def random_network(rng: np.random.Generator, *, settings: int = 3, name: str = "random"):
    """Draw a network of one to three layers.

    Shapes, strides, padding, pooling, channels, and for each of the network's widths the bits of
    every layer's weights and activations and their zero points are drawn independently, so the
    widths of the network are only names. Weights fill int8; scales spread the outputs over their
    codes.

    Parameters
    ----------
    rng : numpy.random.Generator
    settings : int
        Widths of the network, counted from 8 down.
    name : str

    Returns
    -------
    IntegerGraph
    """
    shape = input_shape = (
        int(rng.integers(3, 9)),
        int(rng.integers(3, 9)),
        int(rng.integers(1, 8)),
    )
    widths = [8 - k for k in range(settings)]
    n_layers = int(rng.integers(1, 4))
    # Width and zero point of every map at every width of the network.
    codes = {width: [_code(rng) for _ in range(n_layers)] for width in widths}
    layers = []
    for index in range(n_layers):
        last = index == n_layers - 1
        layer = _geometry(rng, f"layer{index}", shape, last=last)
        layer_settings = {
            width: _setting(
                rng, layer, codes[width][index], None if last else codes[width][index + 1]
            )
            for width in widths
        }
        layers.append(replace(layer, settings=layer_settings))
        shape = layer.out_shape(shape)
    return IntegerGraph(name=name, input_shape=input_shape, input_scale=1.0, layers=tuple(layers))


def random_codes(rng: np.random.Generator, graph: IntegerGraph, n: int) -> np.ndarray:
    """Draw inputs that fit every width of a network, uint8 of (n, height, width, channels)."""
    bits = min(setting.in_width for setting in graph.layers[0].settings.values())
    return rng.integers(0, 1 << bits, (n, *graph.input_shape)).astype(np.uint8)


def random_case(seed: int, config: AcceleratorConfig, *, images: int = 2) -> Case:
    """Draw a network and inputs, compile it, and schedule every image at every width."""
    rng = np.random.default_rng(seed)
    graph = random_network(rng, name=f"random{seed}")
    return Case(
        graph=graph,
        image=compile_graph(graph, config),
        x=random_codes(rng, graph, images),
        schedule=[(index, width) for index in range(images) for width in graph.widths],
    )


def _code(rng):
    width = int(rng.integers(2, 9))
    return width, int(rng.integers(0, 1 << width)) * int(rng.integers(0, 2))


def _geometry(rng, name, shape, *, last) -> Layer:
    """A layer without settings that fits its input."""
    height, width, channels = shape
    kernel = (int(rng.integers(1, min(4, height) + 1)), int(rng.integers(1, min(4, width) + 1)))
    padding = tuple(int(rng.integers(0, size)) for size in np.repeat(kernel, 2))
    out_channels = int(rng.integers(1, 21))
    layer = Layer(
        name=name,
        weight=rng.integers(-128, 128, (out_channels, channels, *kernel)).astype(np.int8),
        stride=(int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        padding=padding,
        pool=None,
        settings={},
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


def _setting(rng, layer, entering, leaving) -> Setting:
    weight_width = int(rng.integers(2, 9))
    (in_width, zero_point_in), channels = entering, layer.out_channels
    depth = layer.weight[0].size
    # The spread of a random sum, and from it the scale that spreads codes.
    spread = np.sqrt(depth) * (1 << weight_width) * (1 << in_width) / 6
    common = {
        "weight_width": weight_width,
        "in_width": in_width,
        "zero_point_in": zero_point_in,
        "bias": rng.normal(0, spread / 2, channels).astype(np.int32),
    }
    if leaving is None:
        return Setting(
            **common,
            out_width=LOGIT_WIDTH,
            zero_point_out=0,
            multiplier=np.zeros(channels, np.uint16),
            shift=np.zeros(channels, np.uint8),
        )
    scale = (1 << leaving[0]) / spread * rng.uniform(0.3, 2, channels)
    exponent = np.floor(np.log2(scale)).astype(int)
    return Setting(
        **common,
        out_width=leaving[0],
        zero_point_out=leaving[1],
        multiplier=np.clip(scale / 2.0**exponent * (1 << 15), 1 << 15, 65535).astype(np.uint16),
        shift=np.clip(15 - exponent, 0, 63).astype(np.uint8),
    )
