"""Input codes of a network, from a file of the user's own or drawn."""

from pathlib import Path

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.data.archives import DAMAGED
from downshift.sw.graph.integer_graph import IntegerGraph

__all__ = ["load_codes"]

NPY_MAGIC = b"\x93NUMPY"


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
