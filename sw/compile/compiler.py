"""The compiler: an integer graph into what one configuration of the accelerator loads."""

from collections.abc import Iterator

import numpy as np

from downshift.hw.biased_product import HALF_RATE_BITS
from downshift.hw.config import AcceleratorConfig
from downshift.hw.descriptor import PROFILES, descriptor_words
from downshift.hw.errors import DownshiftError
from downshift.hw.mac import codes_per_byte
from downshift.hw.precision_switch import switch_code
from downshift.hw.table_config import TableConfig
from downshift.hw.weight_loader import store_words
from downshift.sw.compile.image import Image
from downshift.sw.compile.memory_plan import Map, plan_maps
from downshift.sw.compile.table_compiler import compile_tables
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph, Layer, Pool
from downshift.sw.graph.sum_bounds import sum_bounds

__all__ = ["compile_graph"]


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
        If a layer is more than a link of a chain or has numbers of 1 bit (names it), multipliers
        are wider than those of the accelerator, the network
        does not fit (says what is short, and by how much), or a sum could leave int32 (names the
        layer and width).
    """
    _check_widths(graph)
    _check_multipliers(graph, config)
    if isinstance(config, TableConfig):
        return compile_tables(graph, config)
    _check_chain(graph)
    weights, weight_bases = _weights(graph, config)
    parameters, parameter_bases = _parameters(graph, config)
    maps = {
        width: plan_maps(graph, width, lanes=config.lanes, capacity=config.activation_bytes)
        for width in graph.widths
    }

    program = [0] * PROFILES
    for width in graph.widths:
        program[width] = len(program)
        passes = [
            fields
            for index, layer in enumerate(graph.layers)
            for fields in _passes(
                layer,
                width,
                *maps[width][index : index + 2],
                config,
                weight_base=weight_bases[index],
                parameter_base=parameter_bases[width][index],
            )
        ]
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


def _check_chain(graph: IntegerGraph) -> None:
    """Refuse what the accelerator has no passes for."""
    before = INPUT
    for layer in graph.layers:
        source = graph.source_of(layer)
        if layer.groups > 1:
            what = "is depthwise"
        elif layer.average:
            what = "averages over its input"
        elif layer.residual is not None:
            what = f"adds the residual {layer.residual}"
        elif source != before:
            what = f"takes the map {source}, not {before}"
        else:
            before = layer.name
            continue
        raise DownshiftError(
            f"Layer {layer.name} {what}, which this accelerator cannot do; use a TableConfig "
            "(--tables)"
        )


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
    """Content of the weight store, (words, rows) int8, and the first word of each layer."""
    parts = [store_words(layer.weight, rows=config.rows) for layer in graph.layers]
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


def _check_reach(layer: Layer, width: int, source: Map, config: AcceleratorConfig) -> None:
    """Prove that the window's counters hold every position, padding included."""
    height, columns, _ = source.shape
    top, bottom, left, right = layer.padding
    reach = max(
        (top + height + bottom) * source.row_bytes, (left + columns + right) * source.pixel_bytes
    )
    if reach > 2 * config.activation_bytes:
        raise DownshiftError(
            f"Layer {layer.name} at width {width}: its input with padding spans {reach:,} bytes, "
            f"the accelerator counts to {2 * config.activation_bytes:,}; pad less or use an "
            "AcceleratorConfig with more activation_bytes"
        )


def _bands(rows: int, columns: int, pool_pixels: int, depth: int) -> Iterator[tuple[int, ...]]:
    """Split pooled pixels into bands (row, column, rows, columns) whose partial sums fit."""
    most = depth // pool_pixels  # pooled pixels
    if most >= columns:
        step = most // columns
        for row in range(0, rows, step):
            yield row, 0, min(step, rows - row), columns
    else:
        for row in range(rows):
            for column in range(0, columns, most):
                yield row, column, 1, min(most, columns - column)


def _passes(
    layer: Layer,
    width: int,
    source: Map,
    target: Map,
    config: AcceleratorConfig,
    *,
    weight_base: int,
    parameter_base: int,
) -> Iterator[dict[str, int]]:
    """Descriptor fields of each pass over a layer."""
    setting = layer.settings[width]
    pool = layer.pool or Pool(size=(1, 1), stride=(1, 1))
    pool_pixels = pool.size[0] * pool.size[1]
    if pool_pixels > config.partial_sum_depth:
        raise DownshiftError(
            f"Layer {layer.name} pools over {pool_pixels} pixels, the accelerator holds sums of "
            f"{config.partial_sum_depth}; use an AcceleratorConfig with more partial_sum_depth"
        )
    per_byte = codes_per_byte(setting.in_width)
    logits = setting.out_width == LOGIT_WIDTH
    out_per_byte = 1 if logits else codes_per_byte(setting.out_width)
    (kernel_rows, kernel_columns), (step_y, step_x) = layer.kernel, layer.stride
    top, _, left, _ = layer.padding
    run_bytes = kernel_columns * source.pixel_bytes
    _check_reach(layer, width, source, config)

    for row, column, rows, columns in _bands(
        *target.shape[:2], pool_pixels, config.partial_sum_depth
    ):
        first_row = row * pool.stride[0] * step_y - top
        first_column = column * pool.stride[1] * step_x - left
        first_pixel = row * target.shape[1] + column
        yield {
            "last": 0,
            "logits": int(logits),
            "weight_width": switch_code(setting.weight_width, centred=setting.centred),
            "in_pack": per_byte.bit_length() - 1,
            "out_pack": out_per_byte.bit_length() - 1,
            "pad": sum(setting.zero_point_in << k * 8 // per_byte for k in range(per_byte)),
            "zero_point": setting.zero_point_out,
            "out_max": 0 if logits else setting.out_max,
            "last_pool": pool_pixels - 1,
            "last_column": columns - 1,
            "last_row": rows - 1,
            "last_pool_column": pool.size[1] - 1,
            "last_pool_row": pool.size[0] - 1,
            "last_kernel_row": kernel_rows - 1,
            "kernel_columns": kernel_columns,
            "last_tile": -(-layer.out_channels // config.rows) - 1,
            "last_chunk": -(-run_bytes // config.lanes) - 1,
            "channels": layer.in_channels,
            "last_slot": source.pixel_bytes * per_byte - 1,
            "last_pixel": rows * columns - 1,
            "weight_base": weight_base,
            "parameter_base": parameter_base,
            "tile_bytes": config.rows * (4 if logits else 1) // out_per_byte,
            "in_base": source.base,
            "row_start": first_row * source.row_bytes,
            "column_start": first_column * source.pixel_bytes,
            "row_bytes": source.row_bytes,
            "map_bytes": source.size,
            "step_x": step_x * source.pixel_bytes,
            "step_y": step_y * source.row_bytes,
            "step_column": pool.stride[1] * step_x * source.pixel_bytes,
            "step_row": pool.stride[0] * step_y * source.row_bytes,
            "out_base": target.base + first_pixel * target.pixel_bytes,
            "out_pixel_bytes": target.pixel_bytes,
        }
