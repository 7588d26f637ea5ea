"""Images in folders: one for each class, in one for each part."""

from pathlib import Path

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.data.images import Images, make_images

__all__ = ["load_folder"]

PARTS = ("train", "validation", "test")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".webp")
LAYOUT = "it must hold train/CLASS/*.png and test/CLASS/*.png, perhaps validation/CLASS/*.png"


def load_folder(folder: Path) -> Images:
    """Load pictures, each in the folder of its class; classes are numbered in alphabetical order.

    Parameters
    ----------
    folder : Path
        Holds ``train`` and ``test``, perhaps ``validation``; in each a folder for every class.

    Returns
    -------
    Images
        Grey if all pictures are, else red, green and blue.

    Raises
    ------
    DownshiftError
        If pictures are missing, cannot be read or differ in size; names the file.
    """
    parts = [part for part in PARTS if (folder / part).is_dir()]
    if not {"train", "test"} <= set(parts):
        raise DownshiftError(f"Folder {folder} has no pictures to train on; {LAYOUT}")
    classes = sorted(entry.name for entry in (folder / "train").iterdir() if entry.is_dir())
    files = {part: _files(folder / part, classes) for part in parts}
    pictures = {path: _pixels(path) for entries in files.values() for path, _ in entries}
    if not pictures or not all(files.values()):
        raise DownshiftError(f"Folder {folder} lacks pictures; {LAYOUT}")
    shape = next(iter(pictures.values())).shape[:2]
    for path, pixels in pictures.items():
        if pixels.shape[:2] != shape:
            raise DownshiftError(
                f"Picture {path} has {pixels.shape[1]} x {pixels.shape[0]} pixels, the first one "
                f"{shape[1]} x {shape[0]}; make them equal"
            )
    grey = all(pixels.ndim == 2 for pixels in pictures.values())
    arrays = {}
    for part, entries in files.items():
        planes = [pictures[path] if grey else _coloured(pictures[path]) for path, _ in entries]
        arrays[f"{part}_x"] = np.stack(planes)
        arrays[f"{part}_y"] = np.array([label for _, label in entries])
    return make_images(arrays, input_scale=1 / 255, classes=len(classes), where=str(folder))


def _files(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """Pictures of a part, with their labels."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in classes:
            raise DownshiftError(f"Folder {entry} is of a class that train lacks; {LAYOUT}")
    return [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).glob("*"))
        if path.suffix.lower() in SUFFIXES
    ]


def _pixels(path: Path) -> np.ndarray:
    """Grey or coloured pixels, uint8, (height, width[, 3])."""
    # Pillow comes with matplotlib, and only this needs it.
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))
    except (
        OSError,
        SyntaxError,
        ValueError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
    ) as error:
        raise DownshiftError(f"Picture {path} cannot be read: {error}") from None


def _coloured(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels
