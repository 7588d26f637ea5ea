"""The layer as the fetch sees it: `FetchLayer`."""

from amaranth import signed
from amaranth.lib import data

from downshift.hw.word_chains import CHAIN

__all__ = ["FetchLayer", "fetch_fields"]


class FetchLayer(data.Struct):
    """What the fetch is told about a pass; counts are stored less one, addresses are in words."""

    last_column: 8  # of the output
    last_row: 8  # of those that the pass has of a strip of the output
    last_kernel_column: 8
    last_kernel_row: 8
    last_group: 8
    last_tile: 8  # tiles of output channels
    separate: 1  # a tile of output channels has a group of its own
    whole: 1  # a vector has as many words as the kernel, however long the chains are
    keep: 1  # all vectors belong to one pixel
    slide: 2  # columns of a kernel that the next pixel keeps
    slots: 2  # log2 of the slots of the map
    pad: 8  # byte that stands outside the map
    first_row: signed(11)  # of the first window
    first_column: signed(9)
    stride_row: 4
    stride_column: 4
    strip: 9  # rows of a strip of the map
    width: 9  # columns of the map
    base: 16
    first_words: signed(16)  # first row and column of the first window, in words
    groups: 9  # words from one column to the next
    row_words: 16  # from one row of the strips to the next
    step_words: 16  # from one output column to the next
    step_row_words: 16  # from one output row to the next
    strip_words: 16


def fetch_fields(
    layout,
    *,
    kernel,
    stride,
    padding,
    zero_point,
    out_columns,
    rows,
    tiles,
    base,
    mode=None,
):
    """Describe a pass to `Fetch`.

    Parameters
    ----------
    layout : MapLayout
    kernel, stride, padding, zero_point : as for `segment_vectors`
    out_columns : int
        Columns of the output.
    rows : range
        Rows of a slot of the output that the pass has.
    tiles : int
        Tiles of output channels.
    base : int
        Address of the map.
    mode : "separate", "pool", "keep" or None
        Whether each tile of output channels has a group of its own, also in vectors of whole
        kernels, or all vectors belong to one pixel.

    Returns
    -------
    dict of str to int
        Fields of `FetchLayer`.
    """
    top, _, left, _ = padding
    code = zero_point << (8 >> layout.pack) - layout.code_width
    slides = kernel == (CHAIN, CHAIN) and stride[1] < CHAIN and mode != "pool"
    first_row = rows.start * stride[0] - top
    return {
        "last_column": out_columns - 1,
        "last_row": len(rows) - 1,
        "last_kernel_column": kernel[1] - 1,
        "last_kernel_row": kernel[0] - 1,
        "last_group": layout.groups - 1,
        "last_tile": tiles - 1,
        "separate": mode in ("separate", "pool"),
        "whole": mode == "pool",
        "keep": mode == "keep",
        "slide": CHAIN - stride[1] if slides else 0,
        "slots": layout.slots.bit_length() - 1,
        "pad": sum(code << k * (8 >> layout.pack) for k in range(1 << layout.pack)),
        "first_row": first_row,
        "first_column": -left,
        "stride_row": stride[0],
        "stride_column": stride[1],
        "strip": layout.strip,
        "width": layout.width,
        "base": base,
        "first_words": first_row * layout.row_words - left * layout.groups,
        "groups": layout.groups,
        "row_words": layout.row_words,
        "step_words": stride[1] * layout.groups,
        "step_row_words": stride[0] * layout.row_words,
        "strip_words": layout.words,
    }
