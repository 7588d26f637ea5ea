"""What networks are trained on: codes and labels, in three parts that never mix."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from downshift.hw.errors import DownshiftError

if TYPE_CHECKING:
    from torch import Tensor, device

__all__ = ["Images", "Split", "make_images"]

MOST_CLASSES = 1024
"""Beyond it a label is rather a mistake than a class."""
VALIDATION_SHARE = 0.1
"""Of the images to train on, where nothing else is said."""
SPLIT_SEED = 0
"""The validation part is the same whatever a network's seed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Some of the images."""

    codes: Tensor
    """uint8, (n, channels, height, width)."""
    labels: Tensor
    """Classes, int64, (n,); or values, float32, (n, values)."""

    def __len__(self) -> int:
        """Count the images."""
        return len(self.labels)

    def to(self, where: device | str) -> Split:
        """Copy it to a device."""
        return Split(codes=self.codes.to(where), labels=self.labels.to(where))

    def take(self, n: int) -> Split:
        """Take the first `n` images."""
        return Split(codes=self.codes[:n], labels=self.labels[:n])


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Labelled images in three parts: to train on, to choose by, and to judge by once."""

    train: Split
    validation: Split
    test: Split
    input_scale: float
    """Real value of one code."""
    classes: int
    """Labels are below it; or how many values each image has."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        _, channels, height, width = self.train.codes.shape
        return height, width, channels

    @property
    def digest(self) -> str:
        """What tells what is learned from these from what is learned from others."""
        parts = hashlib.sha256(f"{self.input_scale!r} {self.classes}".encode())
        for split in (self.train, self.validation):
            for tensor in (split.codes, split.labels):
                parts.update(str(tuple(tensor.shape)).encode())
                parts.update(tensor.cpu().contiguous().numpy())
        return parts.hexdigest()

    def reconstruction(self) -> Images:
        """The same images, from which they themselves are to be learned."""

        def part(split: Split) -> Split:
            return Split(codes=split.codes, labels=self.real(split.codes).flatten(1))

        return Images(
            train=part(self.train),
            validation=part(self.validation),
            test=part(self.test),
            input_scale=self.input_scale,
            classes=math.prod(self.input_shape),
        )

    def real(self, codes: Tensor) -> Tensor:
        """Real values of codes, float32."""
        return codes.float() * self.input_scale


def make_images(
    parts: dict[str, np.ndarray], *, input_scale: float, classes: int | None = None, where: str
) -> Images:
    """Check arrays, and split off a part for validation if there is none.

    Parameters
    ----------
    parts : dict of str to array
        ``train_x`` and ``test_x``, uint8 of (n, height, width, channels), (n, height, width) or,
        for features without a place, (n, features); ``train_y`` and ``test_y``, integers of (n,).
        Perhaps ``validation_x`` and ``validation_y``; without them, a tenth of the images to train
        on, always the same.
    input_scale : float
        Real value of one code.
    classes : int, optional
        By default as the largest label to train on says.
    where : str
        What messages begin with.

    Returns
    -------
    Images

    Raises
    ------
    DownshiftError
        Names the array that cannot be used.
    """
    import torch

    names = [name for name in ("train", "validation", "test") if f"{name}_x" in parts]
    arrays = {name: _checked(name, parts[f"{name}_x"], parts[f"{name}_y"], where) for name in names}
    shape = arrays["train"][0].shape[1:]
    for name, (x, _) in arrays.items():
        if x.shape[1:] != shape:
            raise DownshiftError(
                f"{where}: train_x holds images of shape {shape}, {name}_x of {x.shape[1:]}"
            )
    classes = _checked_classes({name: y for name, (_, y) in arrays.items()}, classes, where)
    splits = {
        name: Split(
            codes=torch.as_tensor(x.transpose(0, 3, 1, 2).copy()),
            labels=torch.as_tensor(y.astype(np.int64)),
        )
        for name, (x, y) in arrays.items()
    }
    if "validation" not in splits:
        splits["train"], splits["validation"] = _split(splits["train"])
    return Images(**splits, input_scale=input_scale, classes=classes)


def _split(split: Split) -> tuple[Split, Split]:
    """Split off a share that is drawn once and for all."""
    import torch

    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(SPLIT_SEED))
    n = max(1, round(len(split) * VALIDATION_SHARE))
    parts = (order[n:].sort().values, order[:n].sort().values)
    train, validation = (Split(codes=split.codes[i], labels=split.labels[i]) for i in parts)
    return train, validation


def _checked(name: str, x: np.ndarray, y: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Images of four dimensions and their labels."""
    if x.dtype != np.uint8 or x.ndim not in (2, 3, 4):
        raise DownshiftError(
            f"{where}: {name}_x must be uint8 of shape (images, height, width[, channels]) or "
            f"(images, features), not {x.dtype} of shape {x.shape}"
        )
    if not np.issubdtype(y.dtype, np.integer) or y.ndim != 1:
        raise DownshiftError(
            f"{where}: {name}_y must be integers of shape (images,), "
            f"not {y.dtype} of shape {y.shape}"
        )
    if not x.size or (name == "train" and len(x) < 2):
        raise DownshiftError(
            f"{where}: {name}_x holds {'one image' if x.size else 'no images'}, its shape is "
            f"{x.shape}; give some"
        )
    if len(x) != len(y):
        raise DownshiftError(
            f"{where}: {name}_x holds {len(x)} images, {name}_y {len(y)} labels; give one to each"
        )
    if x.ndim == 2:
        x = x[:, None, None, :]
    return (x[..., None] if x.ndim == 3 else x), y


def _checked_classes(labels: dict[str, np.ndarray], classes: int | None, where: str) -> int:
    """Number of classes, after checking all labels."""
    train = labels["train"]
    for name, y in labels.items():
        if y.min() < 0:
            raise DownshiftError(
                f"{where}: {name}_y holds the negative label {y.min()}; count from 0"
            )
        limit = classes or (MOST_CLASSES if name == "train" else int(train.max()) + 1)
        if y.max() >= limit:
            raise DownshiftError(
                f"{where}: {name}_y holds the label {y.max()}, beyond the last class {limit - 1}"
            )
    return classes or int(train.max()) + 1
