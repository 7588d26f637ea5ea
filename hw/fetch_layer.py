"""The layer as the fetch sees it: `FetchLayer`."""

from amaranth import signed
from amaranth.lib import data

from downshift.hw.word_chains import CHAIN

__all__ = ["FetchLayer", "fetch_fields"]


class FetchLayer(data.Struct):
    """What the fetch is told about a pass; counts are stored less one, addresses are in words."""

    last_column: 8  # of the output
    last_row: 8  # of a strip of the output
    last_kernel_column: 4
    last_kernel_row: 4
    last_group: 8
    last_tile: 8  # tiles of output channels
    slide: 2  # columns of a kernel that the next pixel keeps
    slots: 2  # log2 of the slots of the map
    pad: 8  # byte that stands outside the map
    first_row: signed(5)  # of the first window
    first_column: signed(5)
    stride_row: 3
    stride_column: 3
    strip: 8  # rows of a strip of the map
    width: 9  # columns of the map
    base: 16
    first_words: signed(16)  # first row and column of the first window, in words
    groups: 8  # words from one column to the next
    row_words: 16  # from one row of the strips to the next
    step_words: 16  # from one output column to the next
    step_row_words: 16  # from one output row to the next
    strip_words: 16


def fetch_fields(
    layout, *, kernel, stride, padding, zero_point, out_columns, out_strip, tiles, base
):
    """Describe a pass to `Fetch`.

    Parameters
    ----------
    layout : MapLayout
    kernel, stride, padding, zero_point, out_strip : as for `segment_vectors`
    out_columns : int
        Columns of the output.
    tiles : int
        Tiles of output channels.
    base : int
        Address of the map.

    Returns
    -------
    dict of str to int
        Fields of `FetchLayer`.
    """
    top, _, left, _ = padding
    code = zero_point << (8 >> layout.pack) - layout.code_width
    slides = kernel == (CHAIN, CHAIN) and stride[1] < CHAIN
    return {
        "last_column": out_columns - 1,
        "last_row": out_strip - 1,
        "last_kernel_column": kernel[1] - 1,
        "last_kernel_row": kernel[0] - 1,
        "last_group": layout.groups - 1,
        "last_tile": tiles - 1,
        "slide": CHAIN - stride[1] if slides else 0,
        "slots": layout.slots.bit_length() - 1,
        "pad": sum(code << k * (8 >> layout.pack) for k in range(1 << layout.pack)),
        "first_row": -top,
        "first_column": -left,
        "stride_row": stride[0],
        "stride_column": stride[1],
        "strip": layout.strip,
        "width": layout.width,
        "base": base,
        "first_words": -top * layout.row_words - left * layout.groups,
        "groups": layout.groups,
        "row_words": layout.row_words,
        "step_words": stride[1] * layout.groups,
        "step_row_words": stride[0] * layout.row_words,
        "strip_words": layout.words,
    }
