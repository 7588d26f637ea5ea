"""Data sets: images to train on, and input codes from files of the user's own."""

from __future__ import annotations

import lzma
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.integer_graph import IntegerGraph

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Images", "load_codes", "load_digits", "load_images"]

DAMAGED = (
    EOFError, MemoryError, NotImplementedError, RuntimeError, SyntaxError, ValueError,
    lzma.LZMAError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What numpy and the libraries below it raise for a damaged file."""
NPY_MAGIC = b"\x93NUMPY"
MOST_CLASSES = 1024
"""Beyond it a label is rather a mistake than a class."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Labelled images, split into those to train on and those to test on."""

    train_images: Tensor
    """float32, (n, channels, height, width); codes times `input_scale`."""
    train_labels: Tensor
    """int64, (n,)."""
    test_images: Tensor
    """float32, (m, channels, height, width)."""
    test_labels: Tensor
    """int64, (m,)."""
    input_shape: tuple[int, int, int]
    """(height, width, channels)."""
    input_scale: float
    """Real value of one input code."""
    classes: int
    """Labels are below it."""


def load_digits() -> Images:
    """Load the 1,797 digits that travel inside scikit-learn, 75 % to train, 25 % to test.

    Images are 8 x 8 pixels of codes 0…16, which the network sees as 0…1. The split is stratified
    and always the same. Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten
    Digits*, UCI Machine Learning Repository, 1998.
    """
    # Half a second to import, and only training needs it.
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    pixels, labels = load(return_X_y=True)
    codes = pixels.astype(np.uint8).reshape(-1, 8, 8, 1)
    parts = train_test_split(codes, labels, test_size=0.25, stratify=labels, random_state=0)
    train, test, train_labels, test_labels = (np.asarray(part) for part in parts)
    return _images(train, train_labels, test, test_labels, input_scale=1 / 16, classes=10)


def load_images(path: Path) -> Images:
    """Read a user's own images; each pixel is its own input code, seen as 0…1.

    Parameters
    ----------
    path : Path
        ``.npz`` with ``train_x`` and ``test_x``, uint8 of (images, height, width, channels) or
        (images, height, width), and ``train_y`` and ``test_y``, integers of (images,). There are
        as many classes as the largest label for training says.

    Returns
    -------
    Images

    Raises
    ------
    DownshiftError
        If the file cannot be read, or does not hold such arrays; names the array.
    """
    arrays = _read_arrays(Path(path))
    for part in ("train", "test"):
        x, y = arrays[f"{part}_x"], arrays[f"{part}_y"]
        if x.dtype != np.uint8 or x.ndim not in (3, 4):
            raise DownshiftError(
                f"{path}: {part}_x must be uint8 of shape (images, height, width[, channels]), "
                f"not {x.dtype} of shape {x.shape}"
            )
        if not np.issubdtype(y.dtype, np.integer) or y.ndim != 1:
            raise DownshiftError(
                f"{path}: {part}_y must be integers of shape (images,), "
                f"not {y.dtype} of shape {y.shape}"
            )
        if not x.size:
            raise DownshiftError(
                f"{path}: {part}_x holds no images, its shape is {x.shape}; give some"
            )
        if len(x) != len(y):
            raise DownshiftError(
                f"{path}: {part}_x holds {len(x)} images, {part}_y {len(y)} labels; "
                "give one to each"
            )
        arrays[f"{part}_x"] = x[..., None] if x.ndim == 3 else x
    train, test = arrays["train_x"], arrays["test_x"]
    train_labels, test_labels = arrays["train_y"], arrays["test_y"]
    if train.shape[1:] != test.shape[1:]:
        raise DownshiftError(
            f"{path}: train_x holds images of shape {train.shape[1:]}, test_x of {test.shape[1:]}"
        )
    if min(train.shape[1:3]) < 4:
        raise DownshiftError(
            f"{path}: images must be at least 4 x 4 pixels, not of shape {train.shape[1:]}"
        )
    classes = _checked_classes(train_labels, test_labels, path)
    return _images(train, train_labels, test, test_labels, input_scale=1 / 255, classes=classes)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The four arrays of an archive, unchecked but for their presence."""
    names = ("train_x", "train_y", "test_x", "test_y")
    advice = "save one with numpy.savez(path, train_x=…, train_y=…, test_x=…, test_y=…)"
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise DownshiftError(f"{path} is not a .npz file; {advice}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                if missing := [name for name in names if name not in archive.files]:
                    raise DownshiftError(f"{path} lacks the array {missing[0]}; {advice}")
                return {name: np.asarray(archive[name]) for name in names}
    except OSError as error:
        raise DownshiftError(
            f"Cannot read images {path}: {error.strerror or error}; check the path"
        ) from None
    except DAMAGED:
        raise DownshiftError(f"{path} is damaged, or holds more than arrays; {advice}") from None


def _checked_classes(train_labels: np.ndarray, test_labels: np.ndarray, path: Path) -> int:
    """Number of classes, after checking both sets of labels."""
    classes = int(train_labels.max()) + 1
    for name, labels, limit in (
        ("train_y", train_labels, MOST_CLASSES),
        ("test_y", test_labels, classes),
    ):
        if labels.min() < 0:
            raise DownshiftError(
                f"{path}: {name} holds the negative label {labels.min()}; count from 0"
            )
        if labels.max() >= limit:
            raise DownshiftError(
                f"{path}: {name} holds the label {labels.max()}, beyond the last class {limit - 1}"
            )
    if train_labels.min() == train_labels.max():
        raise DownshiftError(
            f"{path}: train_y must hold at least 2 classes, not only label {classes - 1}"
        )
    return classes


def _images(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    *,
    input_scale: float,
    classes: int,
) -> Images:
    """Tensors of codes (n, height, width, channels) and their labels."""
    import torch

    def real(codes: np.ndarray) -> Tensor:
        planes = codes.transpose(0, 3, 1, 2).astype(np.float32, order="C")
        return torch.as_tensor(planes * np.float32(input_scale))  # (n, channels, height, width)

    def whole(labels: np.ndarray) -> Tensor:
        return torch.as_tensor(labels.astype(np.int64))

    height, width, channels = train.shape[1:]
    return Images(
        train_images=real(train),
        train_labels=whole(train_labels),
        test_images=real(test),
        test_labels=whole(test_labels),
        input_shape=(height, width, channels),
        input_scale=input_scale,
        classes=classes,
    )


def load_codes(path: Path | None, graph: IntegerGraph, n: int, *, seed: int = 0) -> np.ndarray:
    """Read input codes for a network, or draw them.

    Parameters
    ----------
    path : Path or None
        ``.npy``, uint8 of (images, height, width, channels); the channels may be missing if there
        is one. None draws random codes.
    graph : IntegerGraph
    n : int
        Most images to take.
    seed : int
        Of random codes.

    Returns
    -------
    uint8 array, shape (at most n, height, width, channels)

    Raises
    ------
    DownshiftError
        If the file cannot be read, or does not hold inputs of this network.
    """
    bits = min(setting.in_width for setting in graph.layers[0].settings.values())
    if path is None:
        shape = (n, *graph.input_shape)
        return np.random.default_rng(seed).integers(0, 1 << bits, shape).astype(np.uint8)
    try:
        with path.open("rb") as file:
            if file.read(len(NPY_MAGIC)) != NPY_MAGIC:
                raise ValueError
        codes = np.load(path, allow_pickle=False, mmap_mode="r")
    except OSError as error:
        raise DownshiftError(
            f"Cannot read input {path}: {error.strerror or error}; check the path"
        ) from None
    except DAMAGED:
        raise DownshiftError(f"{path} is not a .npy file; save one with numpy.save") from None
    if codes.ndim == 3 and graph.input_shape[2] == 1:
        codes = codes[..., None]
    if codes.dtype != np.uint8 or codes.shape[1:] != graph.input_shape or not len(codes):
        wanted = ", ".join(map(str, graph.input_shape))
        raise DownshiftError(
            f"{path} must hold uint8 codes of shape (images, {wanted}), "
            f"not {codes.dtype} of shape {codes.shape}"
        )
    codes = np.array(codes[:n])
    if codes.max() >= 1 << bits:
        raise DownshiftError(
            f"{path} holds codes up to {codes.max()}, the network takes {bits} bits"
        )
    return codes
