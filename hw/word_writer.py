"""The word writer: codes of a convolution, put where the map that they make has its words."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.table import QUARTERS
from downshift.hw.word_format import CODES, WordFormat

__all__ = ["WordWriter", "WriterLayer", "writer_fields"]


class WriterLayer(data.Struct):
    """What the writer is told about a pass; counts are stored less one, addresses are in words."""

    last_column: 8
    last_row: 8  # of a strip of the convolution
    last_slot: 2  # of the convolution
    last_tile: 8  # tiles of output channels
    pack: 2
    group: 2  # log2 of a quarter of the channels in a word
    six: 1  # codes have two bits less than their place
    zero_point: 8
    height: 8  # rows of the map
    strip: 8  # rows of a slot of the map
    base: 16
    groups: 8  # words from one column to the next
    row_words: 16
    strip_words: 16
    # From a slot of the convolution to the next.
    slots: 2  # of the map
    rows: 8  # of the map, beyond those slots
    words: 16  # of those rows
    all_rows: 8


def writer_fields(layout, *, strip, slots, zero_point, base):
    """Describe a pass to `WordWriter`.

    Parameters
    ----------
    layout : MapLayout
        Of the map to write; codes have 8, 6, 4 or 2 bits, as many as their place or two less.
    strip, slots : int
        Rows of a slot, and slots, of the convolution.
    zero_point : int
        For rows past the last.
    base : int
        Address of the map.

    Returns
    -------
    dict of str to int
        Fields of `WriterLayer`.
    """
    spare = (8 >> layout.pack) - layout.code_width
    if (layout.pack, spare) not in ((0, 0), (0, 2), (1, 0), (2, 0)):
        raise ValueError(
            f"Codes of {layout.code_width} bits cannot be written packed by {1 << layout.pack}"
        )
    step_slots, step_rows = divmod(strip, layout.strip)
    return {
        "last_column": layout.width - 1,
        "last_row": strip - 1,
        "last_slot": slots - 1,
        "last_tile": -(-layout.channels // CODES) - 1,
        "pack": layout.pack,
        "group": (layout.group // 4).bit_length() - 1,
        "six": spare == 2,
        "zero_point": zero_point,
        "height": layout.height,
        "strip": layout.strip,
        "base": base,
        "groups": layout.groups,
        "row_words": layout.row_words,
        "strip_words": layout.words,
        "slots": step_slots % 4,
        "rows": step_rows,
        "words": step_rows * layout.row_words,
        "all_rows": strip,
    }


class Spot(data.Struct):
    """A row of the map."""

    slot: 3
    row: 8  # within the slot
    all_row: 10  # within the map
    address: 16


class WordWriter(wiring.Component):
    """Write codes, pixel by pixel of all slots, tile by tile of output channels.

    With the whole map, `MapLayout.encode` is what stands in memory. Codes are taken no faster than
    their words are written: one, two or four cycles each.

    Parameters
    ----------
    depth : int
        Words of the memory.

    Members
    -------
    layer : ``In(WriterLayer)``
    start : ``In(1)``
        Begin a pass; not during one.
    done : ``Out(1)``
        The last word of the pass was written in the cycle before, or left out.
    i : ``In(stream.Signature(ArrayLayout(8, 16)))``
        Codes of one pixel; slots follow each other, then columns, then rows.
    write_enable : ``Out(4)``
        Quarters to write.
    write_address, write_data : ``Out(range(depth))``, ``Out(ArrayLayout(8, 16))``
    """

    i: stream.Interface

    latency = WordFormat.latency

    def __init__(self, *, depth: int):
        self.depth = depth
        super().__init__(
            {
                "layer": In(WriterLayer),
                "start": In(1),
                "done": Out(1),
                "i": In(stream.Signature(data.ArrayLayout(8, CODES))),
                "write_enable": Out(QUARTERS),
                "write_address": Out(range(depth)),
                "write_data": Out(data.ArrayLayout(8, WORD_BYTES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        m.submodules.format = words = WordFormat()
        taken = Signal()
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            words.pack.eq(layer.pack),
            words.group.eq(layer.group),
            words.six.eq(layer.six),
            words.i.valid.eq(self.i.valid),
            self.i.ready.eq(words.i.ready),
        ]

        # Where the slots of this row stand.
        here, row_start = Signal(Spot), Signal(Spot)
        next_slot = self._step(m, here, layer.slots, layer.rows, layer.all_rows, layer.words)
        next_row = self._step(m, row_start, 0, 1, 1, layer.row_words)
        column, row, slot, tile = Signal(8), Signal(8), Signal(2), Signal(8)
        column_words, tile_words, tile_group = Signal(16), Signal(16), Signal(9)
        slot_done, row_done, tile_done, pass_done = (Signal() for _ in range(4))
        m.d.comb += [
            slot_done.eq(slot == layer.last_slot),
            row_done.eq(slot_done & (column == layer.last_column)),
            tile_done.eq(row_done & (row == layer.last_row)),
            pass_done.eq(tile_done & (tile == layer.last_tile)),
        ]
        with m.If(taken):
            m.d.sync += [slot.eq(slot + 1), here.eq(next_slot)]
            with m.If(slot_done):
                m.d.sync += [
                    slot.eq(0),
                    here.eq(row_start),
                    column.eq(column + 1),
                    column_words.eq(column_words + layer.groups),
                ]
            with m.If(row_done):
                m.d.sync += [
                    here.eq(next_row),
                    row_start.eq(next_row),
                    column.eq(0),
                    column_words.eq(tile_words),
                    row.eq(row + 1),
                ]
            with m.If(tile_done):
                groups = CODES // QUARTERS >> layer.group
                following = tile_words + groups
                m.d.sync += [
                    here.eq(0),
                    row_start.eq(0),
                    tile_words.eq(following),
                    column_words.eq(following),
                    row.eq(0),
                    tile.eq(tile + 1),
                    tile_group.eq(tile_group + groups),
                ]
        with m.If(self.start):
            m.d.sync += [
                *(spot.eq(0) for spot in (here, row_start)),
                *(count.eq(0) for count in (slot, column, row, tile, tile_group)),
                tile_words.eq(layer.base),
                column_words.eq(layer.base),
            ]

        # Rows past the last.
        blank = here.all_row >= layer.height
        for code in range(CODES):
            m.d.comb += words.i.p[code].eq(Mux(blank, layer.zero_point, self.i.p[code]))

        # Cycle 1: the address and the slot, if the map has it. Cycle 2: of each word.
        address, started, last = Signal(16), Signal(), Signal(2)
        quarters, enable, group = Signal(QUARTERS), Signal(QUARTERS), Signal(9)
        parts = Signal(2)  # log2 of the quarters of a slot
        m.d.comb += parts.eq(layer.group - layer.pack)
        with m.Switch(parts):
            with m.Case(0):
                m.d.comb += quarters.eq(1 << here.slot)
            with m.Case(1):
                m.d.comb += quarters.eq(0b11 << (here.slot << 1))
            with m.Default():
                m.d.comb += quarters.eq(0b1111 << (here.slot << 2))
        with m.If(taken):
            m.d.sync += [
                address.eq(here.address + column_words),
                enable.eq(quarters),
                group.eq(tile_group),
                last[0].eq(pass_done),
            ]
        held_enable, held_group = Signal(QUARTERS), Signal(9)
        m.d.sync += [
            started.eq(taken),
            self.write_address.eq(Mux(started, address, self.write_address + 1)),
            held_group.eq(Mux(started, group, held_group + 1)),
        ]
        with m.If(started):
            m.d.sync += [held_enable.eq(enable), last[1].eq(last[0])]
        m.d.comb += [
            self.write_enable.eq(Mux(words.o.valid & (held_group < layer.groups), held_enable, 0)),
            self.write_data.eq(words.o.p),
        ]
        m.d.sync += self.done.eq(words.o.valid & last[1] & words.last)
        return m

    def _step(self, m, spot, slots, rows, all_rows, words):
        """The row that is `slots` slots and `rows` rows further on."""
        layer = self.layer
        further = Signal.like(spot, name=f"further_{spot.as_value().name}")
        row = Signal(9, name=f"row_{spot.as_value().name}")
        beyond = Signal(name=f"beyond_{spot.as_value().name}")
        m.d.comb += [
            row.eq(spot.row + rows),
            beyond.eq(row >= layer.strip),
            further.slot.eq(spot.slot + slots + beyond),
            further.row.eq(Mux(beyond, row - layer.strip, row)),
            further.all_row.eq(spot.all_row + all_rows),
            further.address.eq(spot.address + words - Mux(beyond, layer.strip_words, 0)),
        ]
        return further
