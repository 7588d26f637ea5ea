"""Input codes of a network, from a file of the user's own or drawn."""

from pathlib import Path

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.data.archives import DAMAGED

__all__ = ["load_codes"]

NPY_MAGIC = b"\x93NUMPY"


def load_codes(
    path: Path | None, n: int | None, *, shape: tuple[int, int, int], bits: int, seed: int = 0
) -> np.ndarray:
    """Read input codes for a network, or draw them.

    Parameters
    ----------
    path : Path or None
        ``.npy``, uint8 of (images, height, width, channels); the channels may be missing if there
        is one. None draws random codes.
    n : int or None
        Most images to take; None takes all, and needs a file.
    shape : tuple of int
        (height, width, channels) that the network takes.
    bits : int
        Of the codes that it takes.
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
    if path is None:
        assert n is not None
        return np.random.default_rng(seed).integers(0, 1 << bits, (n, *shape)).astype(np.uint8)
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
    if codes.ndim == 3 and shape[2] == 1:
        codes = codes[..., None]
    if codes.dtype != np.uint8 or codes.shape[1:] != shape or not len(codes):
        wanted = ", ".join(map(str, shape))
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
