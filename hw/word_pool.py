"""The word pool: windows of a map in memory to the words of a smaller one."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.generate import shared
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.registers import registered
from downshift.hw.table import LANES, QUARTERS
from downshift.hw.word_chains import chain_word_layout

__all__ = ["PoolLayer", "WordPool"]

FIELD = 2
"""Bits of the narrowest code."""


class PoolLayer(data.Struct):
    """What the pool is told about a pass."""

    pack: 2
    base: 16  # of the map to write, in words
    groups: 9  # words from one pixel to the next


class WordPool(wiring.Component):
    """Take the largest of each code over the words of a window, and write it.

    The twin of `max_pool`, word by word: both maps have the same `group`, `pack` and slots, and all
    rows of the smaller one are in the larger one.

    Parameters
    ----------
    segments : int
        Words of a vector.
    depth : int
        Words of the memory.

    Members
    -------
    layer : ``In(PoolLayer)``
    start : ``In(1)``
        Begin a pass; not during one.
    done : ``Out(1)``
        The last word was written in the cycle before.
    i : ``In(stream.Signature(chain_word_layout(segments)))``
        Words of whole windows, group by group of channels, as from `Fetch` in its mode "pool".
    write_enable : ``Out(1)``
    write_address, write_data : ``Out(range(depth))``, ``Out(ArrayLayout(8, 16))``
    """

    i: stream.Interface

    latency = 2

    def __init__(self, *, segments: int, depth: int):
        self.segments = segments
        self.depth = depth
        super().__init__(
            {
                "layer": In(PoolLayer),
                "start": In(1),
                "done": Out(1),
                "i": In(stream.Signature(chain_word_layout(segments))),
                "write_enable": Out(1),
                "write_address": Out(range(depth)),
                "write_data": Out(data.ArrayLayout(8, WORD_BYTES)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        m.d.comb += self.i.ready.eq(1)
        for quarter in range(QUARTERS):
            part = PoolPart()
            m.submodules[f"part_{quarter}"] = shared(part, platform)
            m.d.comb += [
                part.pack.eq(layer.pack),
                part.valid.eq(self.i.valid),
                part.complete.eq(self.i.p.complete),
            ]
            for lane in range(LANES):
                m.d.comb += [
                    part.i[lane].eq(self.i.p.word[LANES * quarter + lane]),
                    self.write_data[LANES * quarter + lane].eq(part.o[lane]),
                ]
        complete, end, written_end = Signal(), Signal(), Signal()
        m.d.sync += [
            complete.eq(self.i.valid & self.i.p.complete),
            end.eq(self.i.p.tags.end),
            self.write_enable.eq(complete),
            written_end.eq(end),
        ]

        # Pixel by pixel, then the next group.
        group, following = Signal(16), Signal(16)
        last, ends = Signal(), self.write_enable & written_end
        last_group, last_but_one = Signal.like(group), Signal.like(group)
        m.d.sync += [
            last_group.eq(layer.base + layer.groups - 1),
            last_but_one.eq(layer.base + layer.groups - 2),
            last.eq(group == Mux(ends, last_but_one, last_group)),
            self.done.eq(self.write_enable & written_end & last),
        ]
        m.d.comb += self.write_address.eq(following)
        with m.If(self.write_enable):
            m.d.sync += following.eq(following + layer.groups)
            with m.If(written_end):
                m.d.sync += [group.eq(group + 1), following.eq(group + 1)]
        with m.If(self.start):
            m.d.sync += [group.eq(layer.base), following.eq(layer.base)]
        return m


class PoolPart(wiring.Component):
    """The largest of each code of a quarter, over the words of a window.

    Members
    -------
    pack : ``In(2)``
        log2 of the codes in a byte; stable during a pass.
    valid, complete : ``In(1)``
        There is a word; it is the window's last.
    i, o : ``In(ArrayLayout(8, 4))``, ``Out(ArrayLayout(8, 4))``
        Its quarter; the largest codes, `WordPool.latency` cycles after the last.
    """

    pack: In(2)
    valid: In(1)
    complete: In(1)
    i: In(data.ArrayLayout(8, LANES))
    o: Out(data.ArrayLayout(8, LANES))

    def elaborate(self, platform):
        m = Module()
        told = registered(m, {name: getattr(self, name) for name in ("pack", "complete", "i")})
        valid = Signal()
        m.d.sync += valid.eq(self.valid)
        largest = Signal.like(self.o)  # of the window so far: the first word finds zeros
        for lane in range(LANES):
            coming = told["i"][lane]
            above = self._above(m, coming, largest[lane], told["pack"], lane)
            following = Cat(
                Mux(above[field], *(v.word_select(field, FIELD) for v in (coming, largest[lane])))
                for field in range(8 // FIELD)
            )
            with m.If(valid):
                m.d.sync += [
                    self.o[lane].eq(following),
                    largest[lane].eq(Mux(told["complete"], 0, following)),
                ]
        return m

    def _above(self, m, coming, largest, pack, lane):
        """Whether each field of `coming` is in a code that is larger."""
        fields = range(8 // FIELD)
        more = Signal(len(fields), name=f"more_{lane}")
        same = Signal(len(fields), name=f"same_{lane}")
        for field in fields:
            new, old = (value.word_select(field, FIELD) for value in (coming, largest))
            m.d.comb += [more[field].eq(new > old), same[field].eq(new == old)]
        by_pair = [more[k + 1] | (same[k + 1] & more[k]) for k in (0, 2)]
        whole = by_pair[1] | (same[2:].all() & by_pair[0])
        above = Signal(len(fields), name=f"above_{lane}")
        with m.Switch(pack):
            with m.Case(0):
                m.d.comb += above.eq(whole.replicate(len(fields)))
            with m.Case(1):
                m.d.comb += above.eq(Cat(by_pair[k // 2] for k in fields))
            with m.Default():
                m.d.comb += above.eq(more)
        return above
