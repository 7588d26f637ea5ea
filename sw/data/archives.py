"""Archives of arrays: images of the user's own, and the data sets kept in that form."""

import lzma
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.data.images import Images, make_images

__all__ = ["DAMAGED", "load_archive", "read_arrays"]

DAMAGED = (
    EOFError, MemoryError, NotImplementedError, RuntimeError, SyntaxError, ValueError,
    lzma.LZMAError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What numpy and the libraries below it raise for a damaged file."""
NEEDED = ("train_x", "train_y", "test_x", "test_y")
OPTIONAL = ("validation_x", "validation_y")
ADVICE = "save one with numpy.savez(path, train_x=…, train_y=…, test_x=…, test_y=…)"


def load_archive(path: Path) -> Images:
    """Read images from a ``.npz`` file; each pixel is its own input code, seen as 0…1.

    Parameters
    ----------
    path : Path
        Holds the arrays that `make_images` takes. There are as many classes as the largest label
        to train on says.

    Returns
    -------
    Images

    Raises
    ------
    DownshiftError
        If the file cannot be read, or does not hold such arrays; names the array.
    """
    arrays = read_arrays(Path(path), NEEDED, OPTIONAL)
    if len(given := [name for name in OPTIONAL if name in arrays]) == 1:
        raise DownshiftError(f"{path} holds {given[0]} without its counterpart; give both or none")
    return make_images(arrays, input_scale=1 / 255, where=str(path))


def read_arrays(
    path: Path, needed: Sequence[str], optional: Sequence[str] = (), *, advice: str = ADVICE
) -> dict[str, np.ndarray]:
    """Read arrays of a ``.npz`` file; what is in them is not checked, nothing is executed.

    Raises
    ------
    DownshiftError
        If the file cannot be read, is damaged or lacks an array that is needed; ends with `advice`.
    """
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise DownshiftError(f"{path} is not a .npz file; {advice}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                if missing := [name for name in needed if name not in archive.files]:
                    raise DownshiftError(f"{path} lacks the array {missing[0]}; {advice}")
                names = [name for name in (*needed, *optional) if name in archive.files]
                return {name: np.asarray(archive[name]) for name in names}
    except OSError as error:
        raise DownshiftError(
            f"Cannot read images {path}: {error.strerror or error}; check the path"
        ) from None
    except DAMAGED:
        raise DownshiftError(f"{path} is damaged, or holds more than arrays; {advice}") from None
