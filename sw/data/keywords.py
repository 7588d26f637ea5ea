"""Spoken words as maps of cepstral coefficients: 49 frames of 10, one second each."""

from pathlib import Path

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.data.archives import read_arrays
from downshift.sw.data.images import Images, make_images

__all__ = ["load_keywords"]

NAME = "speech_commands_mfcc.npz"
NEEDED = ("words4_x", "words4_y", "words4_split")
ADVICE = (
    "it holds words4_x, int8 of (clips, 49, 10), words4_y, and words4_split: 0 to train, 1 to "
    "validate, 2 to test"
)
PARTS = ("train", "validation", "test")


def load_keywords(folder: Path) -> Images:
    """Load four words of Speech Commands, in the official split.

    Features are computed once from the recordings, by whatever front end the product has, so there
    is no address to fetch them from. Source of the recordings: P. Warden, *Speech Commands*, arXiv
    1804.03209.

    Parameters
    ----------
    folder : Path
        Of data sets; holds ``speech_commands_mfcc.npz``.

    Returns
    -------
    Images
        Codes are the int8 features, moved up by 128, which the network sees as 0…1.

    Raises
    ------
    DownshiftError
        If the file is missing or holds something else.
    """
    path = folder / NAME
    if not path.is_file():
        raise DownshiftError(
            f"There is no file {path}, and no address to fetch it from; name the folder that has "
            "it by --data or DOWNSHIFT_DATA"
        )
    arrays = read_arrays(path, NEEDED, advice=ADVICE)
    x, y, split = (arrays[name] for name in NEEDED)
    if x.dtype != np.int8 or x.ndim != 3 or not split.shape == y.shape == x.shape[:1]:
        raise DownshiftError(f"{path} holds arrays of other types or shapes; {ADVICE}")
    codes = (x.astype(np.int16) + 128).astype(np.uint8)
    parts = {}
    for number, part in enumerate(PARTS):
        parts |= {f"{part}_x": codes[split == number], f"{part}_y": y[split == number]}
    return make_images(parts, input_scale=1 / 255, classes=4, where=str(path))
