"""Tensors of ONNX files as arrays, each checked to hold what it claims."""

import math
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from downshift.hw.errors import DownshiftError

__all__ = ["MAX_ELEMENTS", "shown", "tensor_array"]


MAX_ELEMENTS = 1 << 26
"""Most elements of all constants together."""


TENSOR_BITS = {
    TensorProto.FLOAT: 32, TensorProto.DOUBLE: 64, TensorProto.FLOAT16: 16,
    TensorProto.BFLOAT16: 16, TensorProto.INT8: 8, TensorProto.UINT8: 8, TensorProto.INT16: 16,
    TensorProto.UINT16: 16, TensorProto.INT32: 32, TensorProto.UINT32: 32, TensorProto.INT64: 64,
    TensorProto.UINT64: 64, TensorProto.BOOL: 8, TensorProto.INT4: 4, TensorProto.UINT4: 4,
    TensorProto.INT2: 2, TensorProto.UINT2: 2,
}  # fmt: skip
"""Bits of an element, of the types that are read."""


def tensor_array(tensor: TensorProto, folder: Path | None) -> np.ndarray:
    """Values of a tensor, after checking that it holds as many as it claims."""
    where = f"tensor {shown(tensor.name)}"
    elements = math.prod(tensor.dims)
    if any(size < 0 for size in tensor.dims) or elements > MAX_ELEMENTS or len(tensor.dims) > 8:
        raise DownshiftError(f"{where} claims the shape {list(tensor.dims)[:9]}; it is damaged")
    if tensor.data_type not in TENSOR_BITS:
        raise DownshiftError(f"{where} holds {_type_name(tensor.data_type)}, not numbers")
    expected = -(-elements * TENSOR_BITS[tensor.data_type] // 8)
    if tensor.data_location == TensorProto.EXTERNAL:
        raw = _external(tensor, expected, folder, where)
        tensor = helper.make_tensor(tensor.name, tensor.data_type, tensor.dims, raw, raw=True)
    if tensor.HasField("raw_data") and len(tensor.raw_data) != expected:
        raise DownshiftError(
            f"{where} holds {len(tensor.raw_data)} bytes instead of {expected}; it is damaged"
        )
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError) as error:
        raise DownshiftError(f"{where} is damaged: {error!s:.80}") from None
    if array.dtype.kind in "biuf" or array.dtype.name in ("int4", "uint4", "int2", "uint2"):
        return array
    return array.astype(np.float32)


def _type_name(data_type: int) -> str:
    known = {value: name for name, value in TensorProto.DataType.items()}
    return known.get(data_type, f"type {data_type}")


def _external(tensor: TensorProto, expected: int, folder: Path | None, where: str) -> bytes:
    """Bytes of a tensor that lie in another file, inside `folder` only."""
    entries = {each.key: each.value for each in tensor.external_data}
    location = entries.get("location", "")
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(expected)))
    except ValueError:
        raise DownshiftError(f"{where}: its external data is described wrongly") from None
    if folder is None:
        raise DownshiftError(f"{where} lies in another file; give the model as a file")
    try:
        path = (folder / location).resolve()
        inside = path.is_relative_to(folder.resolve()) and not Path(location).is_absolute()
        if not location or not inside or not path.is_file():
            raise DownshiftError(
                f"{where}: its data is said to lie in {location!r:.60}, which is no file inside "
                "the model's folder"
            )
        if length != expected or offset < 0 or offset + length > path.stat().st_size:
            raise DownshiftError(f"{where} does not fit into its data file {location!r:.60}")
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except (OSError, ValueError) as error:
        raise DownshiftError(f"{where}: cannot read its data: {error!s:.80}") from None


def shown(name: str | bytes) -> str:
    r"""A name as it can be printed: on one line, and not too long.

    Examples
    --------
    >>> shown("conv\n1"), shown("a" * 99)[-1], len(shown("a" * 99))
    ('conv?1', '…', 60)
    """
    if isinstance(name, bytes):  # text that is not UTF-8
        name = name.decode(errors="replace")
    name = "".join(char if char.isprintable() else "?" for char in name)
    return name if len(name) <= 60 else f"{name[:59]}…"
