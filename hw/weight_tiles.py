"""Weight tiles: the order in which the weight store holds the weights of a layer."""

import numpy as np

from downshift.hw.code_groups import code_groups
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.table import load_order, row_order
from downshift.hw.word_chains import CHAIN, chain_places

__all__ = ["dense_tiles", "stored_tiles"]


def stored_tiles(weights, *, group, rows, segments, separate=False):
    """Order weights as the weight store holds them, once for all widths.

    Parameters
    ----------
    weights : int8 array, shape (out_channels, in_channels, kernel_height, kernel_width)
        With `separate`, one input channel: that of the same number.
    group : int
        Channels of a word of the input map.
    rows : int
        Output channels of a tile.
    segments : int
        Words of a vector.
    separate : bool
        Whether each tile of output channels has a group of its own.

    Returns
    -------
    int8 array, shape (words, rows, 3)
        By tile of output channels, tile of the depth, chain and channel in `load_order`; for each
        output channel, in `row_order`, the three words of the chain. Places without a weight are
        zero. With `separate`, all channels have the same word, and rows beyond the group repeat it.
    """
    out_channels, in_channels, *kernel = weights.shape
    if separate:
        tiles = -(-out_channels // group)
        padded = np.zeros((tiles, rows, 1, *kernel), np.int8)
        for index in range(tiles):
            part = weights[index * group : (index + 1) * group]
            for row in range(0, rows, group):
                padded[index, row : row + len(part)] = part
        return stored_tiles(padded.reshape(-1, 1, *kernel), group=1, rows=rows, segments=segments)
    tiles, groups = -(-out_channels // rows), -(-in_channels // group)
    padded = np.zeros((tiles * rows, groups * group, *kernel), np.int8)
    padded[:out_channels, :in_channels] = weights
    split = padded.reshape(tiles, rows, groups, group, *kernel)
    field = split.transpose(0, 1, 2, 4, 5, 3).reshape(tiles, rows, -1, group)
    words = []
    for tile in field:
        for begin in range(0, tile.shape[1], segments):
            taken = tile[:, begin : begin + segments]
            chains = -(-taken.shape[1] // CHAIN)
            places = np.zeros((rows, chains * CHAIN, group), np.int8)
            places[:, chain_places(taken.shape[1])] = taken
            by_chain = places.reshape(rows, chains, CHAIN, group)[..., load_order(group)]
            words.append(by_chain.transpose(1, 3, 0, 2).reshape(-1, rows, CHAIN))
    return np.concatenate(words)[:, row_order(rows)]


def dense_tiles(weights, *, rows, segments):
    """Order weights as the weight store holds them for lanes of which each takes all codes.

    Parameters
    ----------
    weights : int8 array, shape (out_channels, in_channels, kernel_height, kernel_width)
    rows, segments : int
        As for `stored_tiles`.

    Returns
    -------
    int8 array, shape (words, rows, 3)
        By tile of output channels, vector, and group of `code_groups`; for each output channel, in
        `row_order`, the weights of the group. Places without a weight are zero.
    """
    out_channels, in_channels, *kernel = weights.shape
    tiles, groups = -(-out_channels // rows), -(-in_channels // WORD_BYTES)
    padded = np.zeros((tiles * rows, groups * WORD_BYTES, *kernel), np.int8)
    padded[:out_channels, :in_channels] = weights
    split = padded.reshape(tiles, rows, groups, WORD_BYTES, -1)
    field = split.transpose(0, 1, 2, 4, 3).reshape(tiles, rows, -1, WORD_BYTES)
    count = field.shape[2]
    places = [
        None if place is None else (first + place[0], place[1])
        for first in range(0, count, segments)
        for group in code_groups(min(segments, count - first))
        for place in group
    ]
    absent = np.zeros((tiles, rows), np.int8)
    taken = [absent if place is None else field[:, :, *place] for place in places]
    by_group = np.stack(taken, axis=-1).reshape(tiles, rows, -1, CHAIN)
    return by_group.transpose(0, 2, 1, 3).reshape(-1, rows, CHAIN)[:, row_order(rows)]
