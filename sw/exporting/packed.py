"""Packed exports: weights in as many bits as they run with, as plain arrays of one file.

For an integer graph at one width. Everything a reader needs is in ``unpack_weights`` below and in
the arrays themselves, which `docs/format.md` lists.
"""

import io
import json
import math
import zipfile
from typing import Any

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.data.archives import DAMAGED as DAMAGED_ARCHIVE
from downshift.sw.graph.integer_graph import IntegerGraph, Layer, Pool, Setting

__all__ = ["pack_weights", "packed_bytes", "packed_graph", "unpack_weights"]

VERSION = 2
DAMAGED = (*DAMAGED_ARCHIVE, AttributeError, LookupError, OverflowError, TypeError)
"""What a damaged file raises in numpy, zipfile, json and what takes their results."""


def pack_weights(codes: np.ndarray, width: int) -> np.ndarray:
    """Pack signed codes one after the other, without gaps, the first in the lowest bits.

    Parameters
    ----------
    codes : int array
        Signed codes of `width` bits; of 1 bit, -1 and 1, of which 1 is stored as 1, -1 as 0.
    width : int
        1…8.

    Returns
    -------
    uint8 array, shape (ceil(codes.size * width / 8),)

    Examples
    --------
    >>> pack_weights(np.int8([1, -1, 0, -2]), 2).tolist()
    [141]
    >>> pack_weights(np.int8([1, -2, 3]), 6).tolist()
    [129, 63, 0]
    """
    values = np.where(codes > 0, 1, 0) if width == 1 else np.asarray(codes, np.int64)
    bits = values.reshape(-1, 1) >> np.arange(width) & 1
    return np.packbits(bits.astype(np.uint8).reshape(-1), bitorder="little")


def unpack_weights(packed: np.ndarray, width: int, shape: tuple[int, ...]) -> np.ndarray:
    """Undo `pack_weights`.

    Returns
    -------
    int8 array of `shape`

    Examples
    --------
    >>> unpack_weights(np.uint8([141]), 2, (4,)).tolist()
    [1, -1, 0, -2]
    """
    count = math.prod(shape)
    if min(shape, default=0) < 1 or packed.size != -(-count * width // 8):
        raise ValueError(f"{packed.size} bytes hold no {width}-bit codes of shape {shape}")
    bits = np.unpackbits(packed, count=count * width, bitorder="little").reshape(count, width)
    values = bits @ (1 << np.arange(width))
    if width == 1:
        return (2 * values - 1).astype(np.int8).reshape(shape)
    signed = values - (values >> (width - 1) << width)
    return signed.astype(np.int8).reshape(shape)


def packed_bytes(graph: IntegerGraph, width: int) -> bytes:
    """Return a ``.npz`` file of a network at one width.

    Parameters
    ----------
    graph : IntegerGraph
    width : int
        One of ``graph.widths``.

    Raises
    ------
    DownshiftError
        If the network does not run at `width`.
    """
    graph.check_width(width)
    arrays: dict[str, np.ndarray] = {}
    for index, layer in enumerate(graph.layers):
        setting = layer.settings[width]
        codes = setting.running(layer.weight)
        arrays[f"weight{index}"] = pack_weights(codes, setting.weight_width)
        arrays[f"bias{index}"] = setting.bias
        arrays[f"multiplier{index}"] = setting.multiplier
        arrays[f"shift{index}"] = setting.shift
        if setting.residual_multiplier is not None:
            arrays[f"residual_multiplier{index}"] = setting.residual_multiplier
    described = json.dumps(_description(graph, width)).encode()
    arrays["network"] = np.frombuffer(described, np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _description(graph: IntegerGraph, width: int) -> dict[str, Any]:
    """What is not an array, as JSON values."""
    return {
        "version": VERSION,
        "name": graph.name,
        "width": width,
        "input_shape": list(graph.input_shape),
        "input_scale": graph.input_scale,
        "input_offset": graph.input_offset,
        "logit_scale": graph.logit_scales.get(width),
        "layers": [_layer(graph, layer, width) for layer in graph.layers],
    }


def _layer(graph: IntegerGraph, layer: Layer, width: int) -> dict[str, Any]:
    setting = layer.settings[width]
    numbers = (
        "weight_width", "in_width", "out_width", "zero_point_in", "zero_point_out",
        "residual_shift",
    )  # fmt: skip
    return {
        "name": layer.name,
        "source": graph.source_of(layer),
        "residual": layer.residual,
        "shape": list(layer.weight.shape),
        "stride": list(layer.stride),
        "padding": list(layer.padding),
        "groups": layer.groups,
        "average": layer.average,
        "pool": layer.pool and [*layer.pool.size, *layer.pool.stride],
        **{name: getattr(setting, name) for name in numbers},
        "largest": setting.largest,
    }


def packed_graph(content: bytes) -> IntegerGraph:
    """Read what `packed_bytes` wrote; the weights come back at the top of their bytes.

    Raises
    ------
    DownshiftError
        If it is no such file.
    """
    try:
        arrays = _arrays(content)
        described = json.loads(arrays["network"].tobytes())
        version = described["version"]
        if version in (1, VERSION):
            return _graph(described, arrays)
    except DAMAGED as error:
        raise DownshiftError(
            f"not a packed network, or a damaged one ({error!s:.60}); export the model again"
        ) from None
    raise DownshiftError(
        f"packed version {version!r:.40} is unknown, this program reads 1 to {VERSION}; export the "
        "model again or update downshift"
    )


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    """Arrays of a file, none larger than what the file holds of it."""
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(content):
                raise ValueError(f"{entry.filename!r:.30} claims more than there is")
            member = io.BytesIO(archive.read(entry))
            if np.lib.format.read_magic(member) != (1, 0):
                raise ValueError(f"{entry.filename!r:.30} is no plain array")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
            if dtype.hasobject or dtype.itemsize == 0 or (fortran and len(shape) > 1):
                raise ValueError(f"{entry.filename!r:.30} is no plain array")
            body = np.frombuffer(member.read(), dtype)
            arrays[entry.filename.removesuffix(".npy")] = body.reshape(shape)
    return arrays


def _graph(described: dict[str, Any], arrays: dict[str, np.ndarray]) -> IntegerGraph:
    width, layers = described["width"], []
    for index, entry in enumerate(described["layers"]):
        bits = entry["weight_width"]
        codes = unpack_weights(arrays[f"weight{index}"], bits, tuple(entry["shape"]))
        weight = np.where(codes > 0, 127, -128) if bits == 1 else codes.astype(int) << (8 - bits)
        pool = entry["pool"]
        setting = Setting(
            weight_width=bits,
            bias=arrays[f"bias{index}"],
            multiplier=arrays[f"multiplier{index}"],
            shift=arrays[f"shift{index}"],
            residual_multiplier=arrays.get(f"residual_multiplier{index}"),
            largest=entry["largest"] if described["version"] > 1 else None,
            **{
                name: entry[name]
                for name in (
                    "in_width", "out_width", "zero_point_in", "zero_point_out", "residual_shift"
                )
            },
        )  # fmt: skip
        layers.append(
            Layer(
                name=entry["name"],
                weight=weight.astype(np.int8),
                stride=tuple(entry["stride"]),
                padding=tuple(entry["padding"]),
                pool=pool and Pool(size=tuple(pool[:2]), stride=tuple(pool[2:])),
                settings={width: setting},
                groups=entry["groups"],
                source=entry["source"],
                residual=entry["residual"],
                average=entry["average"],
            )
        )
    scale = described["logit_scale"]
    return IntegerGraph(
        name=described["name"],
        input_shape=tuple(described["input_shape"]),
        input_scale=described["input_scale"],
        input_offset=described["input_offset"],
        layers=tuple(layers),
        logit_scales={} if scale is None else {width: scale},
    )
