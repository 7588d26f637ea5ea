"""The passes over one layer: descriptors for an accelerator of an `AcceleratorConfig`."""

from collections.abc import Iterator
from dataclasses import dataclass

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.mac import codes_per_byte
from downshift.hw.precision_switch import switch_code
from downshift.sw.compile.memory_plan import Map
from downshift.sw.graph.integer_graph import LOGIT_WIDTH, Layer, Pool, Setting

__all__ = ["RESIDUAL_WEIGHT", "LayerPlaces", "layer_passes"]

RESIDUAL_WEIGHT = 64
"""Stored weight that runs as 1 at `_RESIDUAL_WIDTH` bits."""
_RESIDUAL_WIDTH = 2
_MOST_COLUMNS = 255
"""Of a kernel, which is what a mean has its input for."""


@dataclass(frozen=True, kw_only=True)
class LayerPlaces:
    """Where a layer finds what it takes, and where its outputs go."""

    source: Map
    target: Map
    residual: Map | None
    """The map that is added."""
    weight_base: int
    """First word of its weights."""
    parameter_base: int
    """First word of its parameters."""
    residual_base: int
    """Word of weights that run as 1."""


def layer_passes(
    layer: Layer, width: int, places: LayerPlaces, config: AcceleratorConfig
) -> Iterator[dict[str, int]]:
    """Describe each pass over a layer.

    A band of pixels whose sums fit takes one pass if the layer is plain. Else it takes some for
    each tile of output channels, which go on with each other's sums: depthwise, one for as many
    channels as a vector has codes; for a residual, then as many that add its codes.

    Parameters
    ----------
    layer : Layer
    width : int
        Of the network.
    places : LayerPlaces
    config : AcceleratorConfig

    Returns
    -------
    iterator of dict of str to int
        Fields of descriptors.

    Raises
    ------
    DownshiftError
        If the layer is beyond what the accelerator counts to; names it.
    """
    setting, source, target = layer.settings[width], places.source, places.target
    pool = layer.pool or Pool(size=(1, 1), stride=(1, 1))
    pool_pixels = pool.size[0] * pool.size[1]
    if pool_pixels > config.partial_sum_depth:
        raise DownshiftError(
            f"Layer {layer.name} pools over {pool_pixels} pixels, the accelerator holds sums of "
            f"{config.partial_sum_depth}; use an AcceleratorConfig with more partial_sum_depth"
        )
    if layer.average and max(source.shape[:2]) > _MOST_COLUMNS:
        raise DownshiftError(
            f"Layer {layer.name} averages over {source.shape[0]} x {source.shape[1]} pixels, this "
            f"accelerator over {_MOST_COLUMNS} at most each way; use a TableConfig (--tables)"
        )
    _check_reach(layer, width, source, config)

    tiles = -(-layer.out_channels // config.rows)
    for band in _bands(*target.shape[:2], pool_pixels, config.partial_sum_depth):
        if layer.groups == 1 and not layer.average and layer.residual is None:
            read = _read(layer, setting, source, band, pool, config)
            read |= {"last_tile": tiles - 1, "weight_base": places.weight_base}
            yield _outputs(layer, setting, places, band, pool, config) | read
            continue
        for tile in range(tiles):
            reads = list(_reads(layer, setting, places, band, pool, config, tile=tile))
            for index, read in enumerate(reads):
                complete = index + 1 == len(reads)
                yield {
                    **_outputs(layer, setting, places, band, pool, config, tile=tile),
                    **read,
                    "keep": int(not complete),
                    "resume": int(index > 0),
                    "residual_shift": setting.residual_shift if complete else 0,
                }


@dataclass(frozen=True, kw_only=True)
class _Band:
    """Pooled pixels that a pass gives."""

    row: int
    column: int
    rows: int
    columns: int


def _bands(rows: int, columns: int, pool_pixels: int, depth: int) -> Iterator[_Band]:
    """Split pooled pixels into bands whose partial sums fit."""
    most = depth // pool_pixels  # pooled pixels
    if most >= columns:
        step = most // columns
        for row in range(0, rows, step):
            yield _Band(row=row, column=0, rows=min(step, rows - row), columns=columns)
    else:
        for row in range(rows):
            for column in range(0, columns, most):
                yield _Band(row=row, column=column, rows=1, columns=min(most, columns - column))


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


def _outputs(
    layer: Layer,
    setting: Setting,
    places: LayerPlaces,
    band: _Band,
    pool: Pool,
    config: AcceleratorConfig,
    *,
    tile: int = 0,
) -> dict[str, int]:
    """What a pass gives, from a tile of output channels on."""
    target = places.target
    logits = setting.out_width == LOGIT_WIDTH
    per_byte = 1 if logits else codes_per_byte(setting.out_width)
    tile_bytes = config.rows * (4 if logits else 1) // per_byte
    first_pixel = band.row * target.shape[1] + band.column
    return {
        "last": 0,
        "logits": int(logits),
        "out_pack": per_byte.bit_length() - 1,
        "zero_point": setting.zero_point_out,
        "out_max": 0 if logits else setting.out_max,
        "last_pool": pool.size[0] * pool.size[1] - 1,
        "last_column": band.columns - 1,
        "last_row": band.rows - 1,
        "last_pool_column": pool.size[1] - 1,
        "last_pool_row": pool.size[0] - 1,
        "last_pixel": band.rows * band.columns - 1,
        "parameter_base": places.parameter_base + tile * config.groups,
        "out_base": target.base + first_pixel * target.pixel_bytes + tile * tile_bytes,
        "out_pixel_bytes": target.pixel_bytes,
    }


def _reads(
    layer: Layer,
    setting: Setting,
    places: LayerPlaces,
    band: _Band,
    pool: Pool,
    config: AcceleratorConfig,
    *,
    tile: int,
) -> Iterator[dict[str, int]]:
    """What each pass over a tile of output channels reads."""
    weights = layer.weight[0].size  # words of a tile
    read = _read(layer, setting, places.source, band, pool, config)
    read["weight_base"] = places.weight_base + tile * weights
    if layer.groups == 1:
        yield read | {"repeat": int(layer.average)}
    else:
        yield from _grouped(read, places.source, config, tile=tile)
    if places.residual is not None:
        point = Layer(
            name=layer.name,
            weight=layer.weight[:, :1, :1, :1],
            stride=(1, 1),
            padding=(0, 0, 0, 0),
            pool=layer.pool,
            settings={},
        )
        added = places.residual
        read = _read(point, setting, added, band, pool, config) | {
            "in_pack": codes_per_byte(added.width).bit_length() - 1,
            "weight_width": switch_code(_RESIDUAL_WIDTH),
            "weight_base": places.residual_base,
            "residual": 1,
        }
        yield from _grouped(read, added, config, tile=tile)


def _grouped(
    read: dict[str, int], source: Map, config: AcceleratorConfig, *, tile: int
) -> Iterator[dict[str, int]]:
    """Read the channels of a tile alone, as many in a pass as a vector has codes."""
    per_byte = codes_per_byte(source.width)
    codes = config.lanes * per_byte
    for row in range(0, config.rows, codes):
        yield read | {
            "grouped": 1,
            "first_row": row // 4,
            "channels": codes,
            "last_slot": codes - 1,
            "last_chunk": read["kernel_columns"] - 1,
            "column_bytes": source.pixel_bytes,
            "column_start": read["column_start"] + (tile * config.rows + row) // per_byte,
        }


def _read(
    layer: Layer, setting: Setting, source: Map, band: _Band, pool: Pool, config: AcceleratorConfig
) -> dict[str, int]:
    """How a pass reads a map, window by window, and multiplies it."""
    per_byte = codes_per_byte(setting.in_width)
    kernel_rows, kernel_columns = source.shape[:2] if layer.average else layer.kernel
    step_y, step_x = layer.stride
    top, _, left, _ = layer.padding
    first_row = band.row * pool.stride[0] * step_y - top
    first_column = band.column * pool.stride[1] * step_x - left
    run_bytes = kernel_columns * source.pixel_bytes
    return {
        "weight_width": switch_code(setting.weight_width, centred=setting.centred),
        "in_pack": per_byte.bit_length() - 1,
        "pad": sum(setting.zero_point_in << k * 8 // per_byte for k in range(per_byte)),
        "last_kernel_row": kernel_rows - 1,
        "kernel_columns": kernel_columns,
        "last_tile": 0,
        "last_chunk": -(-run_bytes // config.lanes) - 1,
        "channels": layer.in_channels,
        "last_slot": source.pixel_bytes * per_byte - 1,
        "in_base": source.base,
        "row_start": first_row * source.row_bytes,
        "column_start": first_column * source.pixel_bytes,
        "row_bytes": source.row_bytes,
        "map_bytes": source.size,
        "step_x": step_x * source.pixel_bytes,
        "step_y": step_y * source.row_bytes,
        "step_column": pool.stride[1] * step_x * source.pixel_bytes,
        "step_row": pool.stride[0] * step_y * source.row_bytes,
    }
