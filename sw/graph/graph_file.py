"""Integer graphs on disk: `save_graph` and `load_graph`, as safetensors with one JSON entry."""

import json
import struct
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from safetensors.numpy import save

from downshift.hw.errors import DownshiftError
from downshift.sw.atomic_write import write_atomically
from downshift.sw.graph.graph_metadata import (
    OLDEST_VERSION,
    SCHEMA_VERSION,
    TENSORS,
    graph_from_metadata,
    metadata_of,
    tensor_name,
)
from downshift.sw.graph.integer_graph import IntegerGraph

__all__ = ["graph_bytes", "load_graph", "read_header", "save_graph"]

METADATA_KEY = "downshift"
MAX_HEADER_BYTES = 16 << 20
"""A header beyond this is damage; ResNet-8 at four widths takes 20 kB."""
DTYPES = {"I8": np.int8, "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "I32": np.int32}


def save_graph(graph: IntegerGraph, path: Path | str) -> None:
    """Write a graph; equal graphs give equal bytes.

    Parameters
    ----------
    graph : IntegerGraph
    path : path
        By convention ``*.safetensors``; appears whole or not at all.

    Raises
    ------
    DownshiftError
        If `path` cannot be written.
    """
    write_atomically(path, graph_bytes(graph))


def graph_bytes(graph: IntegerGraph) -> bytes:
    """Return what `save_graph` writes."""
    tensors = {}
    for layer in graph.layers:
        tensors[tensor_name(layer.name, "weight")] = layer.weight
        for width, setting in layer.settings.items():
            for field in TENSORS:
                if (array := getattr(setting, field)) is not None:
                    tensors[tensor_name(layer.name, field, width)] = array
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    metadata = metadata_of(graph)
    metadata["crc32"] = _checksum(metadata, tensors)
    return save(tensors, {METADATA_KEY: _canonical(metadata)})


def load_graph(path: Path | str) -> IntegerGraph:
    """Read a graph that `save_graph` wrote, executing nothing and trusting nothing in it.

    Memory stays in proportion to the size of the file, whatever the file claims.

    Parameters
    ----------
    path : path

    Raises
    ------
    DownshiftError
        If the file is missing, damaged, of another version or inconsistent; the message names the
        file and, where there is one, the layer.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DownshiftError(
            f"Cannot read {path}: {error.strerror or error}; check the path"
        ) from error
    except ValueError as error:
        raise DownshiftError(f"Cannot read {str(path)!r}: {error}") from error
    try:
        if data.startswith(b"PK"):
            raise DownshiftError("not an integer graph; make one with `downshift export`")
        header, body = _split(data)
        text = _metadata_text(header)
        metadata = _metadata(text)
        tensors = _tensors(header, body)
        checksum = metadata.pop("crc32", None)
        graph = graph_from_metadata(metadata, tensors)
        if checksum != _checksum(metadata, tensors) or text != _canonical(
            {**metadata, "crc32": checksum}
        ):
            raise DownshiftError("the checksum does not match, so the file is damaged")
        return graph
    except DownshiftError as error:
        raise DownshiftError(f"{path}: {error}") from error


def read_header(path: Path) -> dict[str, Any]:
    """The JSON entry of a file that `load_graph` reads."""
    header, _ = _split(path.read_bytes())
    return _metadata(_metadata_text(header))


def _canonical(metadata: Mapping[str, Any]) -> str:
    """The one JSON text of a graph's entry."""
    return json.dumps(metadata, sort_keys=True, separators=(",", ":"))


def _checksum(metadata: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> int:
    """CRC-32 of the entry (without its checksum) and of the arrays by name, little-endian."""
    checksum = zlib.crc32(_canonical(metadata).encode())
    for name in sorted(tensors):
        array = tensors[name]
        checksum = zlib.crc32(array.astype(array.dtype.newbyteorder("<")).tobytes(), checksum)
    return checksum


def _split(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """Separate the JSON header of a safetensors file from its data."""
    (size,) = struct.unpack("<Q", data[:8]) if len(data) >= 8 else (0,)
    if not 2 <= size <= min(MAX_HEADER_BYTES, len(data) - 8):
        raise DownshiftError("not a safetensors file, or cut short; export the model again")
    header = _json(data[8 : 8 + size], "the header")
    return header, memoryview(data)[8 + size :]


def _metadata_text(header: Mapping[str, Any]) -> str:
    """Take the graph's own entry out of the header."""
    entries = header.get("__metadata__")
    text = entries.get(METADATA_KEY) if isinstance(entries, dict) else None
    if not isinstance(text, str):
        raise DownshiftError("no Downshift model, since the metadata entry 'downshift' is missing")
    return text


def _metadata(text: str) -> dict[str, Any]:
    """Parse the graph's own entry, after checking its version."""
    metadata = _json(text.encode(errors="replace"), "the metadata")
    version = metadata.get("schema_version")
    if type(version) is not int or not OLDEST_VERSION <= version <= SCHEMA_VERSION:
        raise DownshiftError(
            f"schema version {version!r:.60} is unknown, this program reads {OLDEST_VERSION} to "
            f"{SCHEMA_VERSION}; export the model again or update downshift"
        )
    return metadata


def _json(data: bytes, what: str) -> dict[str, Any]:
    """Parse a JSON object whose names differ."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(pairs)
        if len(names) != len(pairs):
            ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
            raise DownshiftError(f"{what} gives {name!r:.60} twice")
        return names

    try:
        parsed = json.loads(data.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise DownshiftError(f"{what} is not JSON, so the file is damaged") from error
    if not isinstance(parsed, dict):
        raise DownshiftError(f"{what} must be a JSON object, not {type(parsed).__name__}")
    return parsed


def _tensors(header: Mapping[str, Any], body: memoryview) -> dict[str, np.ndarray]:
    """Read every tensor; together they must be exactly the data, without gaps or overlaps."""
    tensors: dict[str, np.ndarray] = {}
    spans = []
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end, tensors[name] = _tensor(name, entry, body)
            spans.append((begin, end))
    reached = 0
    for begin, end in sorted(spans):
        if begin != reached:
            raise DownshiftError("tensors overlap or leave gaps, so the file is damaged")
        reached = end
    if reached != len(body):
        raise DownshiftError(f"{len(body)} bytes of data instead of {reached}; export it again")
    return tensors


def _tensor(name: str, entry: Any, body: memoryview) -> tuple[int, int, np.ndarray]:
    """Read one tensor: first byte, byte after the last, array."""
    fields = entry if isinstance(entry, dict) else {}
    shape, offsets = fields.get("shape"), fields.get("data_offsets")
    dtype = fields.get("dtype")
    if (
        set(fields) != {"dtype", "shape", "data_offsets"}
        or not _are_sizes(shape)
        or not _are_sizes(offsets)
        or len(offsets) != 2
        or 0 in shape
        or len(shape) > 4
    ):
        raise DownshiftError(f"tensor {name!r:.60} is described wrongly, so the file is damaged")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise DownshiftError(f"tensor {name!r:.60} has type {dtype!r:.60}, which no model has")
    begin, end = offsets
    size = np.dtype(DTYPES[dtype]).itemsize
    for length in shape:
        size *= length
    if not begin <= end <= len(body) or end - begin != size:
        raise DownshiftError(f"tensor {name!r:.60} does not fit into the file, which is damaged")
    little_endian = np.dtype(DTYPES[dtype]).newbyteorder("<")
    array = np.frombuffer(body[begin:end], little_endian).astype(DTYPES[dtype]).reshape(shape)
    return begin, end, array


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    """Whether `value` is a list of integers in 0…2**63 - 1."""
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in value)
