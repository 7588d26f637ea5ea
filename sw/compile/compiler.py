"""The compiler: an integer graph into what one configuration of the accelerator loads."""

from dataclasses import replace

import numpy as np

from downshift.hw.biased_product import HALF_RATE_BITS
from downshift.hw.config import AcceleratorConfig
from downshift.hw.descriptor import PROFILES, descriptor_words
from downshift.hw.errors import DownshiftError
from downshift.hw.mac import accumulator_bounds
from downshift.hw.partial_sums import RESIDUAL_PLACE
from downshift.hw.residual_sum import ResidualParameters, residual_bytes
from downshift.hw.table_config import TableConfig
from downshift.hw.weight_loader import store_words
from downshift.sw.compile.image import Image
from downshift.sw.compile.layer_passes import RESIDUAL_WEIGHT, LayerPlaces, layer_passes
from downshift.sw.compile.memory_plan import plan_maps
from downshift.sw.compile.table_compiler import compile_tables
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph, Layer
from downshift.sw.graph.sum_bounds import sum_bounds

__all__ = ["beyond_chain", "compile_graph", "suited"]


def compile_graph(graph: IntegerGraph, config: AcceleratorConfig | TableConfig) -> Image:
    """Compile a network for a configuration, at all its widths.

    Parameters
    ----------
    graph : IntegerGraph
    config : AcceleratorConfig or TableConfig

    Returns
    -------
    Image

    Raises
    ------
    DownshiftError
        If the accelerator has no passes for a layer or it has numbers of 1 bit (names it),
        multipliers are wider than those of the accelerator, the network
        does not fit (says what is short, and by how much), or a sum could leave its bits (names
        the layer and width).
    """
    _check_widths(graph)
    _check_multipliers(graph, config)
    if isinstance(config, TableConfig):
        return compile_tables(graph, config)
    what = beyond_chain(graph)
    if what and not config.all_layers:
        raise DownshiftError(
            f"{what}, which this accelerator cannot do; use an AcceleratorConfig with all_layers, "
            "or a TableConfig (--tables)"
        )
    weights, weight_bases = _weights(graph, config)
    parameters, parameter_bases = _parameters(graph, config)
    maps = {
        width: plan_maps(
            graph,
            width,
            lanes=config.lanes,
            tile=config.rows if config.all_layers else 1,
            capacity=config.activation_bytes,
        )
        for width in graph.widths
    }

    program = [0] * PROFILES
    for width in graph.widths:
        program[width] = len(program)
        placed = {entry.name: entry for entry in maps[width]}
        passes = []
        for index, layer in enumerate(graph.layers):
            places = LayerPlaces(
                source=placed[graph.source_of(layer)],
                target=placed[layer.name],
                residual=None if layer.residual is None else placed[layer.residual],
                weight_base=weight_bases[index],
                parameter_base=parameter_bases[width][index],
                residual_base=weight_bases[-1],
            )
            passes += layer_passes(layer, width, places, config)
        passes[-1]["last"] = 1
        for fields in passes:
            program += descriptor_words(fields)
    _check_room("program words", len(program), config.program_depth, "program_depth")

    return Image(
        config=config,
        network=graph.name,
        input_scale=graph.input_scale,
        input_offset=graph.input_offset,
        macs=graph.macs,
        maps=maps,
        program=np.array(program, "<u4").tobytes(),
        weights=weights.tobytes(),
        parameters=parameters.tobytes(),
    )


def _check_widths(graph: IntegerGraph) -> None:
    """Refuse what no array multiplies."""
    for layer in graph.layers:
        for width, setting in layer.settings.items():
            if 1 in (setting.weight_width, setting.in_width, setting.out_width):
                raise DownshiftError(
                    f"Layer {layer.name} at width {width} has weights or codes of 1 bit, and "
                    "accelerators run 2 to 8; train without that width"
                )


def beyond_chain(graph: IntegerGraph) -> str | None:
    """Tell what of a network only accelerators with `all_layers` do; None if nothing."""
    before = INPUT
    for layer in graph.layers:
        source = graph.source_of(layer)
        if layer.groups > 1:
            return f"Layer {layer.name} is depthwise"
        if layer.average:
            return f"Layer {layer.name} averages over its input"
        if layer.residual is not None:
            return f"Layer {layer.name} adds the residual {layer.residual}"
        if source != before:
            return f"Layer {layer.name} takes the map {source}, not {before}"
        before = layer.name
    return None


def suited(
    config: AcceleratorConfig | TableConfig, graph: IntegerGraph
) -> AcceleratorConfig | TableConfig:
    """Return a configuration, or its like that runs all layers if a network needs it and can be."""
    if isinstance(config, TableConfig) or not config.pipelined or beyond_chain(graph) is None:
        return config
    return replace(config, all_layers=True)


def _check_multipliers(graph: IntegerGraph, config: AcceleratorConfig | TableConfig) -> None:
    if graph.multiplier_width > config.multiplier_width:
        raise DownshiftError(
            f"Network {graph.name} rescales by multipliers of {graph.multiplier_width} bits, this "
            f"accelerator by {config.multiplier_width}; import it with --multiplier-width "
            f"{config.multiplier_width}, or use a TableConfig (--tables)"
        )


def _check_room(what: str, needed: int, available: int, field: str) -> None:
    if needed > available:
        raise DownshiftError(
            f"The network needs {needed:,} {what}, the accelerator has {available:,}: "
            f"{needed - available:,} too few; use an AcceleratorConfig with more {field}"
        )


def _weights(graph: IntegerGraph, config: AcceleratorConfig) -> tuple[np.ndarray, list[int]]:
    """Content of the weight store, (words, rows) int8, and the first word of each layer.

    At the end one for residuals.
    """
    parts = [store_words(layer.weight, rows=config.rows) for layer in graph.layers]
    if any(layer.residual is not None for layer in graph.layers):
        parts.append(np.full((1, config.rows), RESIDUAL_WEIGHT, np.int8))
    else:
        parts.append(np.empty((0, config.rows), np.int8))
    ends = np.cumsum([len(part) for part in parts]).tolist()
    _check_room(f"words of {config.rows} weights", ends[-1], config.weight_depth, "weight_depth")
    return np.concatenate(parts), [0, *ends[:-1]]


def _parameters(
    graph: IntegerGraph, config: AcceleratorConfig
) -> tuple[np.ndarray, dict[int, list[int]]]:
    """Content of the parameter store, and the first word of each layer at each width."""
    kind = np.dtype([("bias", "<i4"), ("multiplier", "<u2"), ("shift", "<u2")])
    parts: list[np.ndarray] = []
    bases: dict[int, list[int]] = {}
    words = 0
    for width in graph.widths:
        bases[width] = []
        for layer in graph.layers:
            setting = layer.settings[width]
            _check_sums(graph, layer, width, config)
            channels = -(-layer.out_channels // config.rows) * config.rows
            part = np.zeros(channels, kind)
            for name in kind.names or ():
                part[name][: layer.out_channels] = getattr(setting, name)
            if layer.residual is not None:
                part[: layer.out_channels] = residual_bytes(
                    bias=setting.bias,
                    multiplier=setting.multiplier,
                    shift=setting.shift,
                    residual=setting.residual_multiplier,
                ).view(kind)
            parts.append(part)
            bases[width].append(words)
            words += channels // config.requantizers
    _check_room(
        f"words of {config.requantizers} channels' parameters",
        words,
        config.parameter_depth,
        "parameter_depth",
    )
    return np.concatenate(parts), bases


def _check_sums(graph: IntegerGraph, layer: Layer, width: int, config: AcceleratorConfig) -> None:
    """Prove that neither the accumulators nor their sum with the bias have too many bits."""
    least, most = sum_bounds(graph, layer, width)
    bits, holder = 32, "int32"
    if config.half_rate and layer.settings[width].out_width != LOGIT_WIDTH:
        bits, holder = HALF_RATE_BITS, f"the {HALF_RATE_BITS} bits of half-rate requantizers"
    if least < -(1 << (bits - 1)) or most >= 1 << (bits - 1):
        raise DownshiftError(
            f"Layer {layer.name} at width {width}: sums may reach {least:,} … {most:,}, beyond "
            f"{holder}; use fewer inputs per output or smaller biases"
        )
    if layer.residual is not None:
        _check_residual(graph, layer, width)


def _check_residual(graph: IntegerGraph, layer: Layer, width: int) -> None:
    """Prove that sums leave room for the code above them, and that biases fit beside its weight."""
    setting = layer.settings[width]
    where = f"Layer {layer.name} at width {width}"
    codes, _ = graph.codes_of(graph.source_of(layer), width)
    positions = np.prod(graph.shape_of(graph.source_of(layer))[:2]) if layer.average else 1
    low, high = accumulator_bounds(
        setting.running(layer.weight).reshape(layer.out_channels, -1),
        activation_max=int(positions) * ((1 << codes) - 1),
    )
    limit = 1 << RESIDUAL_PLACE - 1
    if low.min() < -limit or high.max() >= limit:
        raise DownshiftError(
            f"{where}: sums may reach {low.min():,} … {high.max():,}, beyond the {RESIDUAL_PLACE} "
            "bits beside a residual; use fewer inputs per output, or a TableConfig (--tables)"
        )
    bits = ResidualParameters.as_shape()["bias"].width
    if setting.bias.min() < -(1 << bits - 1) or setting.bias.max() >= 1 << bits - 1:
        raise DownshiftError(
            f"{where}: biases reach {setting.bias.min():,} … {setting.bias.max():,}, beyond the "
            f"{bits} bits beside a residual; use a TableConfig (--tables)"
        )
