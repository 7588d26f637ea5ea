"""How activation codes lie in memory: packed into bytes, pixel after pixel, channels innermost."""

import numpy as np

from downshift.hw.mac import codes_per_byte

__all__ = ["pack_codes", "pixel_bytes", "unpack_codes"]


def pixel_bytes(channels, *, width, align=1):
    """Bytes of one pixel: its codes packed, rounded up to whole multiples of `align` bytes.

    Examples
    --------
    >>> pixel_bytes(10, width=2), pixel_bytes(10, width=2, align=4)
    (3, 4)
    """
    used = -(-channels // codes_per_byte(width))
    return -(-used // align) * align


def pack_codes(codes, *, width, align=1):
    """Pack codes into bytes, the first code of a byte in its low bits.

    Parameters
    ----------
    codes : uint8 array, shape (..., channels)
        Codes of `width` bits.
    width : int
        2…8; 5…8 bits take a byte each, 3…4 half of one, 2 a quarter.
    align : int
        Pixels start at multiples of this many bytes.

    Returns
    -------
    uint8 array, shape (..., pixel_bytes(channels, width=width, align=align))
        Unused places hold zeros.

    Examples
    --------
    >>> pack_codes([[1, 2, 3]], width=4, align=4).tolist()
    [[33, 3, 0, 0]]
    """
    codes = np.asarray(codes, np.uint8)
    per_byte = codes_per_byte(width)
    size = pixel_bytes(codes.shape[-1], width=width, align=align)
    slots = np.zeros((*codes.shape[:-1], size * per_byte), np.uint8)
    slots[..., : codes.shape[-1]] = codes
    slots = slots.reshape(*codes.shape[:-1], size, per_byte)
    places = np.arange(per_byte, dtype=np.uint8) * (8 // per_byte)
    return np.bitwise_or.reduce(slots << places, axis=-1).astype(np.uint8)


def unpack_codes(packed, *, channels, width):
    """Undo `pack_codes`: the codes of the first `channels` places of each pixel.

    Examples
    --------
    >>> unpack_codes(np.uint8([[33, 3, 0, 0]]), channels=3, width=4).tolist()
    [[1, 2, 3]]
    """
    packed = np.asarray(packed, np.uint8)
    per_byte = codes_per_byte(width)
    slot = 8 // per_byte
    places = np.arange(per_byte, dtype=np.uint8) * slot
    slots = (packed[..., None] >> places) & ((1 << slot) - 1)
    return slots.reshape(*packed.shape[:-1], -1)[..., :channels].astype(np.uint8)
