"""Distributed arithmetic: the golden functions of the table array.

A table of 16 entries holds the sum of every subset of four weights; one bit of each of four
activations picks an entry, so the bits of the activations come one after the other. An 8-bit table
is made of LUT-RAMs of four bits; at narrower weights the same LUT-RAMs make two or four tables:

    LUT-RAM            3         2         1         0
    pack 0 (w 2…8)   v[9:6]    v[5:2]      –       v[1:0]      one table
    pack 1 (w 2…6)   v[9:6]    v[5:2]    v[9:6]    v[5:2]      two tables
    pack 2 (w 2)     v[9:6]    v[9:6]    v[9:6]    v[9:6]      four tables

where v is an entry of ten bits: weights aligned to the left, offset to be unsigned. At pack 2 an
entry has room for two sums of 2-bit weights, u at 64ths of v, and the tables are filled in pairs:

    pack 2 (w 2)     v[9:6]    u[9:6]    v[9:6]    u[9:6]

"""

import numpy as np

__all__ = [
    "ENTRY_OFFSET",
    "ENTRY_WIDTH",
    "LANES",
    "LAYOUTS",
    "QUARTERS",
    "TABLES",
    "load_order",
    "row_order",
    "table_entries",
    "table_offset",
    "table_scale",
    "table_slots",
    "table_sums",
    "table_vectors",
]

LANES = 4
"""Weights that a table sums."""
TABLES = 4
"""LUT-RAMs that make one, two or four tables."""
QUARTERS = 4
"""Parts of a row with sums of their own."""
ENTRY_WIDTH = 10
ENTRY_OFFSET = 1 << ENTRY_WIDTH - 1
LAYOUTS = {0: (4, 8, 16), 1: (8, 16), 2: (16, 32)}
"""Channels that a segment may have, by `pack`."""
WEIGHT_WIDTHS = {0: 8, 1: 6, 2: 2}
"""Most bits of a weight, by `pack`."""


def table_slots(*, pack, channels):
    """Pixels that share a vector: the quarters of a row, divided among `channels`.

    Examples
    --------
    >>> [table_slots(pack=p, channels=c) for p, c in ((0, 16), (0, 8), (0, 4), (1, 16), (2, 16))]
    [1, 2, 4, 2, 4]
    """
    if channels not in LAYOUTS.get(pack, ()):
        raise ValueError(f"A segment of pack {pack!r} cannot have {channels!r} channels")
    return (LANES * QUARTERS << pack) // channels


def load_order(channels):
    """List the channels of a segment in the order in which their weights are loaded.

    The same channel of two sets of four comes one after the other, so that weights of two bits can
    be put together.

    Examples
    --------
    >>> load_order(8), load_order(4)
    ([0, 4, 1, 5, 2, 6, 3, 7], [0, 1, 2, 3])
    """
    pair = 2 * LANES
    if channels < pair:
        return list(range(channels))
    halves = [LANES * half + lane for lane in range(LANES) for half in range(2)]
    return [first + k for first in range(0, channels, pair) for k in halves]


def table_entries(weights, *, width):
    """Sum every subset of four weights.

    Parameters
    ----------
    weights : int array, shape (..., 4)
        Running weights.
    width : int
        Their bits, 2…8.

    Returns
    -------
    int array, shape (..., 16)
        Entry e: the sum of the weights whose bit in e is set, times ``2**(8 - width)``, plus
        `ENTRY_OFFSET`; 0…1023.

    Examples
    --------
    >>> table_entries([1, -2, 0, 1], width=2).tolist()[:4]
    [512, 576, 384, 448]
    """
    subsets = np.arange(16)[:, None] >> np.arange(LANES) & 1
    return (np.asarray(weights, np.int64) << 8 - width) @ subsets.T + ENTRY_OFFSET


def table_scale(*, weight_width, pack):
    """What the sums of the array are multiples of."""
    return 4 if pack == 2 else 1 << 8 - weight_width


def table_offset(*, act_width, pack, segments):
    """What the offset of the entries adds to each sum of the array."""
    entry = {0: ENTRY_OFFSET, 1: 2 * ENTRY_OFFSET, 2: ENTRY_OFFSET >> 2}[pack]
    return entry * segments * ((1 << act_width) - 1)


def table_vectors(codes, *, width, pack):
    """Order activation codes as the array takes them.

    Parameters
    ----------
    codes : uint8 array, shape (..., slots, segments, channels)
        Of `width` bits, at most ``8 >> pack``.
    width, pack : int

    Returns
    -------
    uint8 array, shape (..., segments * 16)
        A segment is a word of four quarters of four bytes. A slot has one, two or four quarters,
        which share its channels; a byte holds ``2**pack`` codes, four channels apart, aligned to
        the left.

    Examples
    --------
    >>> table_vectors(np.arange(16, dtype=np.uint8).reshape(2, 1, 8), width=8, pack=0).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    """
    codes = np.asarray(codes, np.uint8)
    *batch, slots, segments, channels = codes.shape
    if slots != table_slots(pack=pack, channels=channels):
        raise ValueError(f"Vectors of {channels} channels cannot have {slots!r} slots")
    per_byte, bits = 1 << pack, 8 >> pack
    split = codes.reshape(*batch, slots, segments, -1, per_byte, LANES) << (bits - width)
    places = np.arange(per_byte, dtype=np.uint8)[:, None] * bits
    packed = (split << places).sum(axis=-2, dtype=np.uint8)  # (..., slot, segment, part, lane)
    return np.moveaxis(packed, -4, -3).reshape(*batch, segments * QUARTERS * LANES)


def table_sums(weights, codes, *, weight_width, act_width, pack):
    """Multiply and accumulate as the table array does: the golden function of `TableArray`.

    Parameters
    ----------
    weights : int array, shape (rows, segments, channels)
        Running weights.
    codes : uint8 array, shape (vectors, slots, segments, channels)
    weight_width, act_width, pack : int

    Returns
    -------
    int array, shape (vectors, rows, 4)
        By quarter: the dot product of the channels that the quarter has of its slot, times
        `table_scale`, plus `table_offset`.
    """
    weights, codes = np.asarray(weights, np.int64), np.asarray(codes, np.int64)
    rows, segments, channels = weights.shape
    parts = QUARTERS // table_slots(pack=pack, channels=channels)
    by_part = weights.reshape(rows, segments, parts, -1)
    taken = codes.reshape(*codes.shape[:3], parts, -1)
    dots = np.einsum("rjpc,vsjpc->vrsp", by_part, taken).reshape(len(codes), rows, QUARTERS)
    offset = table_offset(act_width=act_width, pack=pack, segments=segments)
    return dots * table_scale(weight_width=weight_width, pack=pack) + offset


def row_order(rows):
    """Order rows as neighbours: one and the one half of the rows away, which share lanes.

    Examples
    --------
    >>> row_order(6)
    [0, 3, 1, 4, 2, 5]
    """
    half = -(-rows // 2)
    return [row for k in range(half) for row in (k, k + half) if row < rows]
