"""The word pool: windows of a map in memory to the words of a smaller one."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.map_layout import WORD_BYTES
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
        # Stable during a pass: next to where it is used.
        self._pack = Signal.like(layer.pack, name="pack", reset_less=True)
        m.d.sync += self._pack.eq(layer.pack)
        largest, fresh = self.write_data, Signal(init=1)
        valid, entry = Signal(), Signal.like(self.i.p, reset_less=True)
        m.d.comb += self.i.ready.eq(1)
        m.d.sync += [valid.eq(self.i.valid), entry.eq(self.i.p)]
        with m.If(valid):
            m.d.sync += fresh.eq(entry.complete)
            for byte in range(WORD_BYTES):
                coming = entry.word[byte]
                above = self._above(m, coming, largest[byte], byte)
                for field in range(8 // FIELD):
                    with m.If(fresh | above[field]):
                        m.d.sync += (
                            largest[byte]
                            .word_select(field, FIELD)
                            .eq(coming.word_select(field, FIELD))
                        )

        # Pixel by pixel, then the next group.
        group, following = Signal(16), Signal(16)
        # A window has several words, so that the last group is known in time.
        end, last, last_group = Signal(), Signal(), Signal.like(group)
        m.d.sync += [
            self.write_enable.eq(valid & entry.complete),
            end.eq(entry.tags.end),
            last_group.eq(layer.base + layer.groups - 1),
            last.eq(group == last_group),
            self.done.eq(self.write_enable & end & last),
        ]
        m.d.comb += self.write_address.eq(following)
        with m.If(self.write_enable):
            m.d.sync += following.eq(following + layer.groups)
            with m.If(end):
                m.d.sync += [group.eq(group + 1), following.eq(group + 1)]
        with m.If(self.start):
            m.d.sync += [group.eq(layer.base), following.eq(layer.base)]
        return m

    def _above(self, m, coming, largest, byte):
        """Whether each field of `coming` is in a code that is larger."""
        fields = range(8 // FIELD)
        more = Signal(len(fields), name=f"more_{byte}")
        same = Signal(len(fields), name=f"same_{byte}")
        for field in fields:
            new, old = (value.word_select(field, FIELD) for value in (coming, largest))
            m.d.comb += [more[field].eq(new > old), same[field].eq(new == old)]
        by_pair = [more[k + 1] | (same[k + 1] & more[k]) for k in (0, 2)]
        whole = by_pair[1] | (same[2:].all() & by_pair[0])
        above = Signal(len(fields), name=f"above_{byte}")
        with m.Switch(self._pack):
            with m.Case(0):
                m.d.comb += above.eq(whole.replicate(len(fields)))
            with m.Case(1):
                m.d.comb += above.eq(Cat(by_pair[k // 2] for k in fields))
            with m.Default():
                m.d.comb += above.eq(more)
        return above
