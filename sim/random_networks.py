"""Random networks: any legal layers, to hold hardware against golden."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from downshift.hw.config import AcceleratorConfig
from downshift.hw.precision_switch import CENTRED_WIDTH
from downshift.hw.table_config import TableConfig
from downshift.sim.random_blocks import Feature, random_block
from downshift.sim.verify import Case
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.graph.fixed_point import MULTIPLIERS
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph, Setting

__all__ = ["Feature", "random_case", "random_codes", "random_network"]


def random_network(
    rng: np.random.Generator,
    *,
    settings: int = 3,
    name: str = "random",
    features: Sequence[Feature] = (),
    tables: bool = False,
    multiplier_width: int = 16,
) -> IntegerGraph:
    """Draw a network of one to three layers, and those that features add.

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
    features : sequence of Feature
        Each adds its layers somewhere, `AVERAGE` at the end; without any, the network is a chain.
    tables : bool
        Draw scales and residuals that an accelerator of the table style has numbers for.
    multiplier_width : int
        Bits of the widest multipliers, 16 or 24: then half of the layers have them.

    Returns
    -------
    IntegerGraph
    """
    input_shape = (
        int(rng.integers(3, 9)),
        int(rng.integers(3, 9)),
        int(rng.integers(1, 8)),
    )
    widths = [8 - k for k in range(settings)]
    plan = [Feature.PLAIN] * int(rng.integers(1, 4))
    for feature in features:
        if feature is Feature.AVERAGE:
            plan[-1] = feature
        else:
            plan.insert(int(rng.integers(0, len(plan))), feature)
    names = [f"layer{index}" for index in range(sum(feature.n_layers for feature in plan))]
    # Width and zero point of every map of codes at every width of the network.
    codes = {width: {entry: _code(rng) for entry in [INPUT, *names[:-1]]} for width in widths}
    layers, shapes, before = [], {INPUT: input_shape}, INPUT
    for index, feature in enumerate(plan):
        block = random_block(
            rng,
            feature,
            names[len(layers) : len(layers) + feature.n_layers],
            source=before,
            shape=shapes[before],
            last=index == len(plan) - 1,
        )
        narrow = feature is Feature.WIDE
        options = {"tables": tables, "narrow": narrow, "multiplier_width": multiplier_width}
        for layer in block if narrow else ():
            for maps in codes.values():
                if layer.name in maps:
                    maps[layer.name] = 2, int(rng.integers(0, 4))
        for layer in block:
            source = before if layer.source is None else layer.source
            layer_settings = {
                width: _setting(rng, layer, shapes[source], maps, source, **options)
                for width, maps in codes.items()
            }
            layers.append(replace(layer, settings=layer_settings))
            shapes[layer.name] = layer.out_shape(shapes[source])
            before = layer.name
    return IntegerGraph(name=name, input_shape=input_shape, input_scale=1.0, layers=tuple(layers))


def random_codes(rng: np.random.Generator, graph: IntegerGraph, n: int) -> np.ndarray:
    """Draw inputs that fit every width of a network, uint8 of (n, height, width, channels)."""
    bits = min(setting.in_width for setting in graph.layers[0].settings.values())
    return rng.integers(0, 1 << bits, (n, *graph.input_shape)).astype(np.uint8)


def random_case(
    seed: int,
    config: AcceleratorConfig | TableConfig,
    *,
    images: int = 2,
    features: Sequence[Feature] = (),
) -> Case:
    """Draw a network and inputs, compile it, and schedule every image at every width."""
    rng = np.random.default_rng(seed)
    tables = isinstance(config, TableConfig)
    graph = random_network(
        rng, name=f"random{seed}", features=features, tables=tables,
        multiplier_width=config.multiplier_width,
    )  # fmt: skip
    return Case(
        graph=graph,
        image=compile_graph(graph, config),
        x=random_codes(rng, graph, images),
        schedule=[(index, width) for index in range(images) for width in graph.widths],
    )


def _code(rng):
    width = int(rng.integers(2, 9))
    return width, int(rng.integers(0, 1 << width)) * int(rng.integers(0, 2))


def _setting(rng, layer, shape, maps, source, *, tables, narrow, multiplier_width) -> Setting:
    """Numbers that spread the outputs, given (width, zero point) of every map at this width."""
    weight_width = 2 if narrow else int(rng.integers(2, 9))
    (in_width, zero_point_in), channels = maps[source], layer.out_channels
    leaving = maps.get(layer.name)
    depth = layer.weight[0].size
    # The spread of a random sum, and from it the scale that spreads codes.
    spread = np.sqrt(depth) * (1 << weight_width) * (1 << in_width) / 6
    if layer.average:
        spread *= shape[0] * shape[1]
    bias, residual = np.zeros(channels), {}
    if layer.residual is not None:
        residual_width, _ = maps[layer.residual]
        residual_shift, largest = int(rng.integers(0, 7)), 65535
        if tables:
            residual_shift %= 3 if weight_width == 2 else 9 - weight_width
            largest >>= 8 - weight_width - residual_shift
        spread *= 1 << residual_shift
        factor = spread / (1 << residual_width) * rng.uniform(0.3, 3, channels)
        residual_multiplier = np.clip(factor, 1, largest).astype(np.uint16)
        residual = {"residual_multiplier": residual_multiplier, "residual_shift": residual_shift}
        bias -= residual_multiplier * float(1 << residual_width - 1)
    common = {
        "weight_width": weight_width,
        "centred": weight_width == CENTRED_WIDTH and bool(rng.spawn(1)[0].integers(0, 2)),
        "in_width": in_width,
        "zero_point_in": zero_point_in,
        "bias": (bias + rng.normal(0, spread / 2, channels)).astype(np.int32),
        **residual,
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
    bits = 16 if multiplier_width == 16 else int(rng.choice([16, multiplier_width]))
    least, most = 1 << bits - 1, (1 << bits) - 1
    multiplier = np.clip(scale / 2.0**exponent * least, least, most)
    apart = rng.spawn(1)[0]
    cut = int(apart.integers(max(leaving[1], 1), 1 << leaving[0]))
    return Setting(
        **common,
        largest=None if apart.integers(0, 3) else cut,
        out_width=leaving[0],
        zero_point_out=leaving[1],
        multiplier=multiplier.astype(MULTIPLIERS[bits]),
        shift=np.clip(bits - 1 - exponent, bits if tables else 0, 63).astype(np.uint8),
    )
