"""The JSON entry of a graph file: everything of an `IntegerGraph` except its arrays."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.fixed_point import MULTIPLIERS
from downshift.sw.graph.integer_graph import LOGIT_WIDTH, IntegerGraph, Layer, Pool, Setting

__all__ = [
    "OLDEST_VERSION",
    "SCHEMA_VERSION",
    "TENSORS",
    "graph_from_metadata",
    "metadata_of",
    "tensor_name",
]

SCHEMA_VERSION = 6
OLDEST_VERSION = 3
TENSORS = ("bias", "multiplier", "shift", "residual_multiplier")
"""Arrays of a layer at one width; the last one only with a residual."""
NUMBERS = (
    "weight_width", "in_width", "out_width", "zero_point_in", "zero_point_out", "residual_shift",
)  # fmt: skip
"""Integers of a layer at one width."""
MAX_SIDE = 1 << 16
"""Longest side of a map, a stride or a window that a file may ask for."""
WIDTHS = range(1, 9)


def tensor_name(layer: str, field: str, width: int | None = None) -> str:
    """Name of an array in the file.

    Examples
    --------
    >>> tensor_name("conv1", "weight"), tensor_name("conv1", "bias", 4)
    ('conv1.weight', 'conv1.bias.w4')
    """
    return f"{layer}.{field}" if width is None else f"{layer}.{field}.w{width}"


def metadata_of(graph: IntegerGraph) -> dict[str, Any]:
    """Describe a graph in JSON values; `graph_from_metadata` is the inverse."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": graph.name,
        "input_shape": list(map(int, graph.input_shape)),
        "input_scale": float(graph.input_scale),
        "input_offset": float(graph.input_offset),
        "logit_scales": {str(w): float(scale) for w, scale in graph.logit_scales.items()},
        "provenance": {str(key): str(value) for key, value in graph.provenance.items()},
        "layers": [_layer_metadata(layer) for layer in graph.layers],
    }


def _layer_metadata(layer: Layer) -> dict[str, Any]:
    pool = layer.pool
    return {
        "name": layer.name,
        "shape": list(layer.weight.shape),
        "stride": list(map(int, layer.stride)),
        "padding": list(map(int, layer.padding)),
        "groups": int(layer.groups),
        "source": layer.source,
        "residual": layer.residual,
        "average": bool(layer.average),
        "pool": pool and {"size": list(map(int, pool.size)), "stride": list(map(int, pool.stride))},
        "settings": {
            str(width): {
                **{name: int(getattr(setting, name)) for name in NUMBERS},
                "centred": bool(setting.centred),
                "largest": None if setting.largest is None else int(setting.largest),
            }
            for width, setting in layer.settings.items()
        },
    }


def graph_from_metadata(
    metadata: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
) -> IntegerGraph:
    """Assemble a graph from the entry of a file and its arrays.

    Raises
    ------
    DownshiftError
        If an entry or an array is missing, of the wrong type, out of range or left over.
    """
    version = metadata.get("schema_version")
    if version == 3:  # inputs began at 0
        metadata = {"input_offset": 0.0, **metadata}
    names = (
        "name input_shape input_scale input_offset logit_scales provenance layers schema_version"
    )
    _check_keys(metadata, names, "model")
    descriptions = metadata["layers"]
    if not isinstance(descriptions, list):
        raise DownshiftError(f"layers must be a list, not {descriptions!r:.60}")
    left = dict(tensors)
    layers = tuple(_layer(entry, index, left, version) for index, entry in enumerate(descriptions))
    if left:
        raise DownshiftError(f"tensor {min(left)!r:.60} belongs to no layer")
    provenance = metadata["provenance"]
    if not isinstance(provenance, dict) or not all(
        isinstance(value, str) for value in provenance.values()
    ):
        raise DownshiftError(f"provenance must map names to texts, not be {provenance!r:.60}")
    scales = metadata["logit_scales"]
    if not isinstance(scales, dict) or not set(scales) <= set(map(str, WIDTHS)):
        raise DownshiftError(f"logit_scales must map widths to numbers, not be {scales!r:.60}")
    return IntegerGraph(
        name=_text(metadata, "name", "model"),
        input_shape=_integers(metadata, "input_shape", "model", 3, 1),
        input_scale=_positive(metadata["input_scale"], "input_scale"),
        input_offset=_finite(metadata["input_offset"], "input_offset"),
        layers=layers,
        logit_scales={int(width): _positive(scales[width], "a logit scale") for width in scales},
        provenance=provenance,
    )


def _layer(entry: Any, index: int, left: dict[str, np.ndarray], version: Any) -> Layer:
    """Assemble a layer, and take its arrays out of `left`."""
    where = f"layer {index}"
    _check_keys(
        entry, "name shape stride padding groups source residual average pool settings", where
    )
    name = _text(entry, "name", where)
    where = f"layer {name!r}"
    shape = _integers(entry, "shape", where, 4, 1)
    residual = None if entry["residual"] is None else _text(entry, "residual", where)
    groups, average, pool = entry["groups"], entry["average"], entry["pool"]
    if type(groups) is not int or not 1 <= groups <= MAX_SIDE:
        raise DownshiftError(f"{where}: groups must be in 1..{MAX_SIDE}, not {groups!r:.60}")
    if type(average) is not bool:
        raise DownshiftError(f"{where}: average must be true or false, not {average!r:.60}")
    if pool is not None:
        _check_keys(pool, "size stride", f"{where}, pool")
        pool = Pool(
            size=_integers(pool, "size", f"{where}, pool", 2, 1),
            stride=_integers(pool, "stride", f"{where}, pool", 2, 1),
        )
    settings = entry["settings"]
    if not isinstance(settings, dict) or not settings:
        raise DownshiftError(f"{where} has no settings")
    for width in settings:
        if width not in map(str, WIDTHS):
            raise DownshiftError(f"{where}: a width must be 1 to 8 bits, not {width!r:.60}")
    return Layer(
        name=name,
        weight=_take(left, tensor_name(name, "weight"), shape, where, np.int8),
        stride=_integers(entry, "stride", where, 2, 1),
        padding=_integers(entry, "padding", where, 4, 0),
        pool=pool,
        settings={
            int(width): _setting(
                name, int(width), setting, shape[0], left, residual is not None, version
            )
            for width, setting in settings.items()
        },
        groups=groups,
        source=None if entry["source"] is None else _text(entry, "source", where),
        residual=residual,
        average=average,
    )


def _setting(
    layer: str,
    width: int,
    entry: Any,
    channels: int,
    left: dict[str, np.ndarray],
    adds: bool,
    version: Any,
) -> Setting:
    """Assemble a layer, with or without a residual, at one width; take its arrays from `left`."""
    where = f"layer {layer!r} at width {width}"
    centred, largest = False, None
    if version in (3, 4, 5):  # none were centred, or cut short
        _check_keys(entry, " ".join(NUMBERS), where)
    else:
        _check_keys(entry, " ".join([*NUMBERS, "centred", "largest"]), where)
        centred, largest = entry["centred"], entry["largest"]
        if type(centred) is not bool:
            raise DownshiftError(f"{where}: centred must be true or false, not {centred!r:.60}")
        if largest is not None and (type(largest) is not int or not 1 <= largest <= 255):
            raise DownshiftError(f"{where}: largest must be null or 1..255, not {largest!r:.60}")
    for name in NUMBERS:
        most = LOGIT_WIDTH if name == "out_width" else 255
        if type(entry[name]) is not int or not 0 <= entry[name] <= most:
            raise DownshiftError(f"{where}: {name} must be in 0..{most}, not {entry[name]!r:.60}")
    if entry["out_width"] not in (*WIDTHS, LOGIT_WIDTH):
        raise DownshiftError(
            f"{where}: out_width must be 1 to 8, or 32 for logits, not {entry['out_width']}"
        )

    def take(field: str, *kinds: Any) -> np.ndarray:
        return _take(left, tensor_name(layer, field, width), (channels,), where, *kinds)

    return Setting(
        **{name: entry[name] for name in NUMBERS},
        bias=take("bias", np.int32),
        multiplier=take("multiplier", *MULTIPLIERS.values()),
        shift=take("shift", np.uint8),
        residual_multiplier=take("residual_multiplier", np.uint16) if adds else None,
        centred=centred,
        largest=largest,
    )


def _take(
    left: dict[str, np.ndarray], name: str, shape: tuple[int, ...], where: str, *kinds: Any
) -> np.ndarray:
    """Remove an array from `left`, after checking it."""
    if name not in left:
        raise DownshiftError(f"{where}: tensor {name!r} is missing")
    array = left.pop(name)
    if array.dtype not in kinds or array.shape != shape:
        raise DownshiftError(
            f"{where}: tensor {name!r} must be {' or '.join(str(np.dtype(k)) for k in kinds)} of "
            f"shape {shape}, not {array.dtype} of shape {array.shape}"
        )
    return array


def _check_keys(entry: Any, names: str, where: str) -> None:
    """Refuse anything but an object of exactly these names."""
    if not isinstance(entry, dict):
        raise DownshiftError(f"{where}: expected a JSON object, not {entry!r:.60}")
    expected = set(names.split())
    if set(entry) != expected:
        name = min(set(entry) ^ expected)
        fault = "is missing" if name in expected else "is unknown"
        raise DownshiftError(f"{where}: entry {name!r:.60} {fault}")


def _positive(value: Any, name: str) -> float:
    if not isinstance(value, float) or not 0 < value < math.inf:
        raise DownshiftError(f"{name} must be a positive number, not {value!r:.60}")
    return value


def _finite(value: Any, name: str) -> float:
    if not isinstance(value, float) or not math.isfinite(value):
        raise DownshiftError(f"{name} must be a number, not {value!r:.60}")
    return value


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    """A non-empty text that prints on one line."""
    value = entry[name]
    if not isinstance(value, str) or not value or not value.isprintable():
        raise DownshiftError(f"{where}: {name} must be printable text, not {value!r:.60}")
    return value


def _integers(
    entry: Mapping[str, Any], name: str, where: str, count: int, least: int
) -> tuple[Any, ...]:
    """A list of `count` integers in `least`…`MAX_SIDE`, as a tuple."""
    value = entry[name]
    if (
        not isinstance(value, list)
        or len(value) != count
        or not all(type(n) is int and least <= n <= MAX_SIDE for n in value)
    ):
        raise DownshiftError(
            f"{where}: {name} must be {count} integers in {least}..{MAX_SIDE}, not {value!r:.60}"
        )
    return tuple(value)
