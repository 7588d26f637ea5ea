"""The word writer: codes of a convolution, put where the map that they make has its words."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.table import QUARTERS
from downshift.hw.word_format import CODES, WordFormat
from downshift.hw.writer_layer import WriterLayer

__all__ = ["WordWriter"]


class Spot(data.Struct):
    """A row of the map."""

    slot: 3
    row: 8  # within the slot
    all_row: 11  # within the map
    words: 16


class WordWriter(wiring.Component):
    """Write codes or sums, pixel by pixel of all slots, tile by tile of output channels.

    With the whole map, `MapLayout.encode` is what stands in memory. Codes may come as fast as their
    words are written, one a cycle, but for one that begins a tile, before which a cycle is free;
    sums every sixteenth.

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
    i : ``In(stream.Signature(ArrayLayout(8, 16), always_ready=True))``
        Codes of one pixel; slots follow each other, then columns, then rows.
    i_logits : ``In(stream.Signature(signed(32), always_ready=True))``
        Sums of one pixel, one a cycle in `row_order`, from `latency` cycles after `valid` on.
    write_enable : ``Out(4)``
        Quarters to write.
    write_address, write_data : ``Out(range(depth))``, ``Out(ArrayLayout(8, 16))``
    """

    i: stream.Interface
    i_logits: stream.Interface

    latency = 3 + WordFormat.latency

    def __init__(self, *, depth: int):
        self.depth = depth
        super().__init__(
            {
                "layer": In(WriterLayer),
                "start": In(1),
                "done": Out(1),
                "i": In(stream.Signature(data.ArrayLayout(8, CODES), always_ready=True)),
                "i_logits": In(stream.Signature(signed(32), always_ready=True)),
                "write_enable": Out(QUARTERS),
                "write_address": Out(range(depth)),
                "write_data": Out(data.ArrayLayout(8, WORD_BYTES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        m.submodules.format = words = WordFormat()
        taken, load = Signal(), Signal(2)
        codes = Signal.like(self.i.p, reset_less=True)
        m.d.sync += [
            taken.eq(Mux(layer.logits, self.i_logits.valid, self.i.valid)),
            codes.eq(self.i.p),
        ]
        m.d.comb += [
            words.pack.eq(layer.pack),
            words.group.eq(layer.group),
            words.spare.eq(layer.spare),
            words.load.eq(load[1]),
        ]
        m.d.sync += load.eq(Cat(taken, load))

        # Where the slots of this row stand.
        first, here, row_start = Signal(Spot), Signal(Spot), Signal(Spot)
        m.d.comb += [
            first.slot.eq(layer.first_slot),
            first.row.eq(layer.first_row),
            first.all_row.eq(layer.first_all_row),
            first.words.eq(layer.first_words),
        ]
        next_slot = self._step(m, here, layer.slots, layer.rows, layer.all_rows, layer.words)
        next_row = self._step(m, row_start, 0, 1, 1, layer.row_words)
        column, row, slot, tile = Signal(8), Signal(8), Signal(2), Signal(8)
        only_slot = Signal()
        column_words, tile_words, tile_group = Signal(16), Signal(16), Signal(10)
        last_column, last_row = Signal(), Signal()
        slot_done, row_done, tile_done, pass_done = (Signal() for _ in range(4))
        groups = Mux(layer.halves & ~tile[0], 0, layer.last_word + 1)
        m.d.comb += [
            row_done.eq(slot_done & last_column),
            tile_done.eq(row_done & last_row),
            pass_done.eq(tile_done & (tile == layer.last_tile)),
        ]
        m.d.sync += only_slot.eq(layer.last_slot == 0)
        with m.If(taken):
            m.d.sync += [
                slot.eq(slot + 1),
                slot_done.eq(slot + 1 == layer.last_slot),
                here.eq(next_slot),
            ]
            with m.If(slot_done):
                m.d.sync += [
                    slot.eq(0),
                    slot_done.eq(only_slot),
                    here.eq(row_start),
                    column.eq(column + 1),
                    last_column.eq(column + 1 == layer.last_column),
                    column_words.eq(column_words + layer.groups),
                ]
            with m.If(row_done):
                m.d.sync += [
                    here.eq(next_row),
                    row_start.eq(next_row),
                    column.eq(0),
                    last_column.eq(layer.last_column == 0),
                    column_words.eq(tile_words),
                    row.eq(row + 1),
                    last_row.eq(row + 1 == layer.last_row),
                ]
        # The next tile begins a cycle late: what it sets lies far apart.
        begins = Signal()
        m.d.sync += begins.eq(tile_done & taken)
        with m.If(begins):
            m.d.sync += [
                here.eq(first),
                row_start.eq(first),
                tile_words.eq(tile_words + groups),
                column_words.eq(tile_words + groups),
                row.eq(0),
                last_row.eq(layer.last_row == 0),
                tile.eq(tile + 1),
                tile_group.eq(tile_group + groups),
            ]
        with m.If(self.start):
            m.d.sync += [
                *(spot.eq(first) for spot in (here, row_start)),
                *(count.eq(0) for count in (slot, column, row, tile, tile_group)),
                slot_done.eq(layer.last_slot == 0),
                last_column.eq(layer.last_column == 0),
                last_row.eq(layer.last_row == 0),
                tile_words.eq(layer.base),
                column_words.eq(layer.base),
            ]

        # Rows past the last.
        blank = Signal(reset_less=True)
        late_codes = Signal.like(codes, reset_less=True)
        zero_point = Signal.like(layer.zero_point, reset_less=True)  # stable, and from afar
        m.d.sync += [
            zero_point.eq(layer.zero_point),
            blank.eq(here.all_row > layer.height),
            late_codes.eq(codes),
        ]
        for code in range(CODES):
            m.d.sync += words.i[code].eq(Mux(blank, zero_point, late_codes[code]))

        # Cycle 1: the address and the slot. When the format is done: the word, and more.
        early, late = Signal(_Write), Signal(_Write)
        stages = [Signal(_Write, name=f"stage_{k}") for k in range(WordFormat.latency)]
        before, out = stages[-2:]
        enable = Signal(QUARTERS)
        parts = Signal(2)  # log2 of the quarters of a slot
        m.d.comb += parts.eq(layer.group - layer.pack)
        with m.Switch(parts):
            with m.Case(0):
                m.d.comb += enable.eq(1 << here.slot)
            with m.Case(1):
                half = Mux(layer.halves, Mux(tile[0], 0b10, 0b01), 0b11)
                m.d.comb += enable.eq(half << (here.slot << 1))
            with m.Default():
                m.d.comb += enable.eq(0b1111 << (here.slot << 2))
        more = Signal(range(CODES))  # words to come, or sums
        last = Mux(layer.logits, CODES - 1, layer.last_word)
        m.d.sync += [
            early.valid.eq(taken),
            late.eq(early),
            *(later.eq(stage) for stage, later in pairwise([late, *stages[:-1]])),
            out.valid.eq(before.valid | (more != 0)),
            out.last.eq(before.last & Mux(before.valid, last == 0, more == 1)),
        ]
        with m.If(taken):
            m.d.sync += [
                early.address.eq(here.words + column_words),
                early.enable.eq(Mux(layer.logits, 1, enable)),
                early.group.eq(tile_group),
                early.last.eq(pass_done),
            ]
        with m.If(before.valid):
            m.d.sync += [
                out.address.eq(before.address),
                out.enable.eq(before.enable),
                out.group.eq(before.group),
                more.eq(last),
            ]
        step = Signal(signed(3))
        with m.Elif(more != 0):
            m.d.sync += [
                out.address.eq(out.address + step),
                out.group.eq(out.group + step),
                more.eq(more - 1),
            ]
            # Sums of a row of the lower half and of the upper one, two words on, take turns.
            with m.If(layer.logits & ~more[0]):
                m.d.sync += out.enable.eq(out.enable.rotate_left(1))
        m.d.comb += step.eq(1)
        with m.If(layer.logits):
            m.d.comb += step.eq(Mux(more[0], 2, Mux(more == CODES // 2, -1, -2)))
        index = Signal(2)
        m.d.comb += words.index.eq(Mux(late.valid, 0, index + 1))
        m.d.sync += index.eq(words.index)
        sums = self.i_logits.p.as_unsigned().replicate(QUARTERS)
        present = out.group < layer.groups
        m.d.comb += [
            self.write_enable.eq(Mux(out.valid & present, out.enable, 0)),
            self.write_address.eq(out.address),
            self.write_data.as_value().eq(Mux(layer.logits, sums, words.o.as_value())),
        ]
        m.d.sync += self.done.eq(out.valid & out.last)
        return m

    def _step(self, m, spot, slots, rows, all_rows, words):
        """The row that is `slots` slots and `rows` rows further on."""
        layer = self.layer
        further = Signal.like(spot, name=f"further_{spot.as_value().name}")
        # Steps within the slot and beyond it are known before they are taken.
        name = spot.as_value().name
        back_rows = Signal(signed(10), name=f"back_rows_{name}", reset_less=True)
        back_words = Signal(16, name=f"back_words_{name}", reset_less=True)
        m.d.sync += [
            back_rows.eq(layer.strip - rows),
            back_words.eq(layer.strip_words - words),
        ]
        # Subtracted, lest synthesis makes one adder behind `beyond` of two before it.
        row = Signal(signed(11), name=f"row_{name}")
        beyond = Signal(name=f"beyond_{name}")
        m.d.comb += [
            row.eq(spot.row - back_rows),
            beyond.eq(row >= 0),
            further.slot.eq(Mux(beyond, spot.slot + slots + 1, spot.slot + slots)),
            further.row.eq(Mux(beyond, row, spot.row + rows)),
            further.all_row.eq(spot.all_row + all_rows),
            further.words.eq(Mux(beyond, spot.words - back_words, spot.words + words)),
        ]
        return further


class _Write(data.Struct):
    """A word on its way."""

    valid: 1
    last: 1
    address: 16
    enable: QUARTERS
    group: 10
