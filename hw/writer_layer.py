"""The layer as the writer sees it: `WriterLayer`."""

from amaranth.lib import data

from downshift.hw.map_layout import LOGIT_LANES, LogitsLayout
from downshift.hw.table import LANES, QUARTERS
from downshift.hw.word_format import CODES

__all__ = ["WriterLayer", "words_per_tile", "writer_fields"]


class WriterLayer(data.Struct):
    """What the writer is told about a pass; counts are stored less one, addresses are in words."""

    last_column: 8
    last_row: 8  # of those that the pass has of a strip of the convolution
    last_slot: 2  # of the convolution
    last_tile: 8  # tiles of output channels
    logits: 1  # sums are written, not codes
    last_word: 2  # of those that 16 channels make
    halves: 1  # 16 channels make half of each slot of a word
    pack: 2
    group: 2  # log2 of a quarter of the channels in a word
    spare: 2  # bits that codes have less than their place, by twos
    zero_point: 8
    height: 8  # rows of the map, less one
    strip: 9  # rows of a slot of the map
    base: 16
    groups: 10  # words from one column to the next
    row_words: 16
    strip_words: 16
    # Where the first row goes.
    first_slot: 2
    first_row: 8
    first_words: 16
    first_all_row: 8
    # From a slot of the convolution to the next.
    slots: 2  # of the map
    rows: 8  # of the map, beyond those slots
    words: 16  # of those rows
    all_rows: 9


def words_per_tile(layout):
    """Words that 16 channels of a pixel make, of those that the map has."""
    whole = CODES // (LOGIT_LANES if isinstance(layout, LogitsLayout) else layout.group)
    return 1 if layout.groups == 1 else max(1, whole)


def writer_fields(layout, *, strip, slots, zero_point, base, rows=None):
    """Describe a pass to `WordWriter`.

    Parameters
    ----------
    layout : MapLayout or LogitsLayout
        Of the map to write; codes have 8, 6, 4 or 2 bits.
    strip, slots : int
        Rows of a slot, and slots, of the convolution; one slot if 16 channels make several words.
    zero_point : int
        For rows past the last.
    base : int
        Address of the map.
    rows : range, optional
        Rows of a slot of the convolution that the pass has; all of them by default.

    Returns
    -------
    dict of str to int
        Fields of `WriterLayer`.
    """
    rows = rows or range(strip)
    first_slot, first_row = divmod(rows.start, layout.strip)
    step_slots, step_rows = divmod(strip, layout.strip)
    fields = {
        "last_column": layout.width - 1,
        "last_row": len(rows) - 1,
        "last_slot": slots - 1,
        "last_tile": -(-layout.channels // CODES) - 1,
        "height": layout.height - 1,
        "strip": layout.strip,
        "base": base,
        "groups": layout.groups,
        "row_words": layout.row_words,
        "strip_words": layout.words,
        "first_slot": first_slot,
        "first_row": first_row,
        "first_words": first_row * layout.row_words,
        "first_all_row": rows.start,
        "slots": step_slots % QUARTERS,
        "rows": step_rows,
        "words": step_rows * layout.row_words,
        "all_rows": strip,
    }
    words = words_per_tile(layout)
    if slots > 1 and words > 1:
        raise ValueError(f"Pixels of {words} words must come from one slot, not {slots!r}")
    fields["last_word"] = words - 1
    if isinstance(layout, LogitsLayout):
        return {**fields, "logits": 1}
    spare = (8 >> layout.pack) - layout.code_width
    if spare % 2:
        raise ValueError(f"Codes to write must have 8, 6, 4 or 2 bits, not {layout.code_width!r}")
    return {
        **fields,
        "halves": layout.group > CODES,
        "pack": layout.pack,
        "group": (layout.group // LANES).bit_length() - 1,
        "spare": spare // 2,
        "zero_point": zero_point,
    }
