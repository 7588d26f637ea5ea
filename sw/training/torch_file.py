"""Files that torch has written, read without executing anything."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from downshift.hw.errors import DownshiftError

__all__ = ["read_torch_file"]


def read_torch_file(path: Path, *, what: str, again: str) -> dict[str, Any]:
    """Read a dictionary of tensors and plain values.

    Parameters
    ----------
    path : Path
    what : str
        What messages call the file.
    again : str
        What messages advise.

    Raises
    ------
    DownshiftError
        If the file is missing, damaged, or holds something else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DownshiftError(
            f"{what} {path} cannot be read: {error.strerror or error}; {again}"
        ) from None
    try:
        # torch does not look at the checksums that it writes.
        if (member := zipfile.ZipFile(io.BytesIO(data)).testzip()) is not None:
            raise ValueError(member)
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception:  # whatever unpickling meets in a damaged file
        raise DownshiftError(f"{what} {path} is damaged or no {what.lower()}; {again}") from None
    return content if isinstance(content, dict) else {}
