"""The residual: codes of another map that are added to the sums, scaled by channel."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.block_ram import BlockRam
from downshift.hw.fabric import ram_port
from downshift.hw.generate import shared
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.registers import registered
from downshift.hw.table import LANES, QUARTERS
from downshift.hw.word_format import CODES
from downshift.hw.word_queue import WordQueue

__all__ = ["Residual", "ResidualLayer", "residual_fields"]


class ResidualLayer(data.Struct):
    """What the residual is told about a pass; counts are stored less one."""

    enable: 1
    pack: 2  # also log2 of the slots, unless a tile has half of each
    halves: 1  # a tile of output channels has half of each slot of a word
    spare: 2  # bits that a code has less than its place, by twos
    last_pixel: 16  # of those that the pass has of a slot
    last_tile: 8  # tiles of output channels
    groups: 9  # words from one pixel to the next
    base: 16


def residual_fields(layout, *, rows, base):
    """Describe a pass to `Residual`.

    Parameters
    ----------
    layout : MapLayout
        With 16 channels in a word, or 32 at four codes a byte, and the slots and strips of the
        convolution.
    rows : range
        Rows of a slot that the pass has.
    base : int
        Address of the map.

    Returns
    -------
    dict of str to int
        Fields of `ResidualLayer`.
    """
    if layout.group < CODES:
        raise ValueError(
            f"Words of a residual must have {CODES} channels or more, not {layout.group!r}"
        )
    return {
        "enable": 1,
        "pack": layout.pack,
        "spare": ((8 >> layout.pack) - layout.code_width) // 2,
        "last_pixel": len(rows) * layout.width - 1,
        "halves": layout.group > CODES,
        "last_tile": -(-layout.channels // CODES) - 1,
        "groups": layout.groups,
        "base": base + rows.start * layout.row_words,
    }


class Residual(wiring.Component):
    """Read the codes of every output, a few words ahead.

    Words are read in the order in which pixels leave the array: pixel by pixel of a strip, tile by
    tile of output channels.

    Parameters
    ----------
    depth : int
        Words of the memory.
    delay : int
        Cycles from `pause` to the read.

    Members
    -------
    layer : ``In(ResidualLayer)``
    start : ``In(1)``
        Begin a pass; not during one.
    pause : ``Out(1)``
        The memory is read `delay` cycles later.
    read : ``Out(ram_port(depth, ...))``
    taken : ``In(1)``
        The next slot is due.
    o : ``Out(ArrayLayout(8, 16))``
        Its codes, `latency` cycles later; zero without a residual.
    """

    latency = 5

    room = 8
    """Words that wait, or are on their way."""

    def __init__(self, *, depth: int, delay: int):
        self.depth = depth
        self.delay = delay
        super().__init__(
            {
                "layer": In(ResidualLayer),
                "start": In(1),
                "pause": Out(1),
                "read": Out(ram_port(depth, data.ArrayLayout(8, WORD_BYTES))),
                "taken": In(1),
                "o": Out(data.ArrayLayout(8, CODES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer

        # Addresses: pixel by pixel, then the next tile.
        running = Signal()
        free = Signal(range(self.room + 1), init=self.room)
        pixel, tile = Signal(16), Signal(8)
        tile_start, address = Signal(16), Signal(16)
        tile_done = pixel == layer.last_pixel
        next_start = tile_start + ~(layer.halves & ~tile[0])
        asks = Signal()
        m.d.comb += asks.eq(running & (free != 0))
        m.d.sync += self.pause.eq(asks)
        with m.If(asks):
            m.d.sync += [pixel.eq(pixel + 1), address.eq(address + layer.groups)]
            with m.If(tile_done):
                m.d.sync += [
                    pixel.eq(0),
                    tile.eq(tile + 1),
                    tile_start.eq(next_start),
                    address.eq(next_start),
                    running.eq(tile != layer.last_tile),
                ]
        with m.If(self.start):
            m.d.sync += [
                running.eq(layer.enable),
                pixel.eq(0),
                tile.eq(0),
                tile_start.eq(layer.base),
                address.eq(layer.base),
            ]

        # Read.
        asked = Signal(self.delay + 2 + BlockRam.latency)
        second = Signal.like(asked)
        addresses = [Signal.like(address, name=f"address_{k}") for k in range(self.delay + 1)]
        m.d.sync += [
            asked.eq(Cat(asks, asked)),
            second.eq(Cat(tile[0], second)),
            Cat(addresses).eq(Cat(address, *addresses)),
        ]
        m.d.comb += [
            self.read.address.eq(addresses[-1]),
            self.read.enable.eq(asked[self.delay]),
        ]
        data_read = Signal.like(self.read.data, reset_less=True)
        m.d.sync += data_read.eq(self.read.data)
        m.submodules.queue = queue = WordQueue(shape=8 * WORD_BYTES + 1, depth=16)
        m.d.comb += [
            queue.i.p.eq(Cat(data_read, second[-1])),
            queue.i.valid.eq(asked[-1]),
        ]

        # Codes of the slot.
        slot, last_slot = Signal(2), Signal(2)
        used, slot_done = Signal(), Signal()
        m.d.comb += [
            slot_done.eq(slot == last_slot),
            queue.o.ready.eq(used & slot_done),
        ]
        m.d.sync += [
            last_slot.eq(((1 << layer.pack)[:3] >> layer.halves) - 1),
            used.eq(self.taken & layer.enable),
            free.eq(free - asks + queue.o.ready),
        ]
        with m.If(used):
            m.d.sync += slot.eq(Mux(slot_done, 0, slot + 1))
        word = data.View(data.ArrayLayout(8, WORD_BYTES), queue.o.p[: 8 * WORD_BYTES])
        quarter = Mux(layer.halves, Cat(queue.o.p[-1], slot[0]), slot)
        for code in range(CODES):
            part = ResidualCode(part=code // LANES)
            m.submodules[f"code_{code}"] = shared(part, platform)
            m.d.comb += [
                *(getattr(part, name).eq(layer[name]) for name in ("pack", "spare", "enable")),
                part.slot.eq(slot),
                part.quarter.eq(quarter),
                *(part.i[k].eq(word[LANES * k + code % LANES]) for k in range(QUARTERS)),
                self.o[code].eq(part.o),
            ]

        return m


class ResidualCode(wiring.Component):
    """One code of a slot; what chooses it stands beside it.

    Parameters
    ----------
    part : int
        Which of the quarters of a word of one slot has it.

    Members
    -------
    pack, spare, enable : as of `ResidualLayer`
    slot, quarter : ``In(2)``
        Slot of the word, and quarter of it if that has four slots.
    i : ``In(ArrayLayout(8, 4))``
        The code's byte in each quarter of the word.
    o : ``Out(8)``
        The code, four cycles later.
    """

    def __init__(self, *, part: int):
        self.part = part
        super().__init__(
            {
                "pack": In(2),
                "spare": In(2),
                "enable": In(1),
                "slot": In(2),
                "quarter": In(2),
                "i": In(data.ArrayLayout(8, QUARTERS)),
                "o": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        names = ("pack", "spare", "enable", "slot", "quarter", "i")
        told = registered(m, {name: getattr(self, name) for name in names})
        codes = told["i"]
        whole, pair, four, narrow = (
            Signal(width, name=name, reset_less=True)
            for name, width in (("whole", 8), ("pair", 4), ("four", 2), ("narrow", 8))
        )
        half, within = divmod(self.part, 2)
        pairs = Mux(told["slot"][0], codes[2 + half], codes[half])
        m.d.sync += [
            whole.eq(codes[self.part]),
            pair.eq(pairs.word_select(within, 4)),
            four.eq(codes[told["quarter"]].word_select(self.part, 2)),
        ]
        with m.Switch(told["pack"]):
            with m.Case(0):
                m.d.sync += narrow.eq(whole)
            with m.Case(1):
                m.d.sync += narrow.eq(pair)
            with m.Default():
                m.d.sync += narrow.eq(four)
        m.d.sync += self.o.eq(Mux(told["enable"], narrow >> Cat(0, told["spare"]), 0))
        return m
