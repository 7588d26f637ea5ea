"""Where the cycles of a frame go, layer by layer, and what each layer reads: `frame_profile`."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from downshift.hw.array_style import array_timing
from downshift.hw.code_groups import groups_of
from downshift.hw.config import AcceleratorConfig, DspConfig
from downshift.hw.conv_layer import ConvLayer
from downshift.hw.descriptor import LayerDescriptor, descriptor_fields
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.table import LANES
from downshift.hw.table_config import COLUMNS, ROWS, TableConfig
from downshift.sim.cycles import Spent, cycles
from downshift.sim.layer_programs import layer_image, layer_passes
from downshift.sw.compile.image import Image
from downshift.sw.graph.integer_graph import IntegerGraph

__all__ = ["LayerProfile", "frame_profile", "products_per_cycle"]


@dataclass(frozen=True, kw_only=True)
class LayerProfile:
    """A layer of a frame, as the cycle model has it."""

    name: str
    macs: int
    cycles: int
    """Of the frame, from the end of the layer before to the end of this one."""
    cycles_alone: int
    """From start to done, when the layer runs alone."""
    spent: Spent
    """What `cycles` went to."""
    peak: float
    """Multiply-accumulates a cycle of all multipliers, at the widths of this layer."""
    activation_words: int
    """Read from activation memory for the array or a pool."""
    weight_words: int
    """Read from the weight store."""


def products_per_cycle(config) -> int:
    """Products of single bits that the array of a configuration adds up in a cycle, at most."""
    if isinstance(config, TableConfig):
        return ROWS * config.segments * WORD_BYTES * 8
    weight_bits = 8 if isinstance(config, DspConfig) else 2
    return config.rows * config.lanes * 8 * weight_bits


def frame_profile(graph: IntegerGraph, image: Image, width: int) -> tuple[LayerProfile, ...]:
    """Predict what every layer takes, and what for.

    Parameters
    ----------
    graph : IntegerGraph
    image : Image
        Compiled from `graph`.
    width : int
        One of ``image.widths``.
    """
    config: Any = image.config
    table = isinstance(config, TableConfig)
    kind: Any = ConvLayer if table else LayerDescriptor
    words_of = _table_words if table else _brick_words
    peak_of = _table_peak if table else _peak
    frame = cycles(image, width)
    totals, spent = iter(frame.passes), iter(frame.spent)
    profiles = []
    layers = zip(graph.layers, layer_passes(image, width).items(), strict=True)
    for layer, (name, passes) in layers:
        fields = [descriptor_fields(words, kind) for words in passes]
        words = [words_of(entry, config) for entry in fields]
        profiles.append(
            LayerProfile(
                name=name,
                macs=layer.macs(graph.shape_of(graph.source_of(layer))),
                cycles=sum(islice(totals, len(passes))),
                cycles_alone=cycles(layer_image(image, width, passes), width).total,
                spent=_sum(list(islice(spent, len(passes)))),
                peak=peak_of(fields[0], config),
                activation_words=sum(activations for activations, _ in words),
                weight_words=sum(weights for _, weights in words),
            )
        )
    return tuple(profiles)


def _sum(parts: list[Spent]) -> Spent:
    return Spent(
        busy=sum(part.busy for part in parts),
        tile_load=sum(part.tile_load for part in parts),
        fetch=sum(part.fetch for part in parts),
        requantize=sum(part.requantize for part in parts),
    )


def _table_peak(layer: dict, config: TableConfig) -> float:
    """All rows times the codes of a vector, in as many cycles as a code has bits."""
    codes = config.segments * WORD_BYTES << layer["array"]["pack"]
    return ROWS * codes / layer["array"]["act_width"]


def _peak(layer: dict, config: AcceleratorConfig) -> float:
    """All rows times the codes of a vector, in as many cycles as that takes."""
    pack = layer["in_pack"]
    timing = array_timing(config, weight_code=layer["weight_width"], pack=pack)
    return config.rows * (config.lanes << pack) / timing.steps


def _table_words(layer: dict, config: TableConfig) -> tuple[int, int]:
    """Words that a pass reads from activation memory and from the weight store."""
    fetch = layer["fetch"]
    tiles, rows, columns = (fetch[f"last_{name}"] + 1 for name in ("tile", "row", "column"))
    kernel = (fetch["last_kernel_row"] + 1) * (fetch["last_kernel_column"] + 1)
    if layer["pool"]:
        return tiles * rows * columns * kernel, 0
    field = kernel * (1 if fetch["separate"] else fetch["last_group"] + 1)
    if layer["lanes"]["dense"]:
        vectors = [min(config.segments, field - k) for k in range(0, field, config.segments)]
        return tiles * field, tiles * sum(map(groups_of, vectors))
    if layer["separate"]:
        return tiles * rows * columns * kernel, tiles * kernel
    activations = parts = 0
    for first in range(0, field, config.segments):
        count = min(config.segments, field - first)
        # Columns after the first of a row keep what the window slides over.
        slid = count - count // COLUMNS * fetch["slide"]
        activations += tiles * rows * (count + (columns - 1) * slid)
        parts += tiles
    return activations, parts * (LANES << layer["loader"]["group"]) * (config.segments // COLUMNS)


def _brick_words(layer: dict, config) -> tuple[int, int]:
    """Words of `lanes` bytes from activation memory, and words from the weight store."""
    tiles, chunks, rows = (layer[f"last_{name}"] + 1 for name in ("tile", "chunk", "kernel_row"))
    vectors = (layer["last_pixel"] + 1) * (layer["last_pool"] + 1)
    weights = rows * layer["kernel_columns"] * layer["channels"]
    return tiles * rows * chunks * vectors, tiles * weights
