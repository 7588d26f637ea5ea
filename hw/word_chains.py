"""Word chains: the segments of a vector, where a window that moves on keeps what it still needs."""

from itertools import pairwise

import numpy as np
from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.mac import VectorTags, vector_layout
from downshift.hw.map_layout import WORD_BYTES

__all__ = ["CHAIN", "WordChains", "chain_places", "chain_word_layout"]

CHAIN = 3
"""Words of a chain: the columns of a kernel."""


def chain_places(count):
    """Where the words of a vector stand that `count` words make.

    Returns
    -------
    list of int
        Segments. A word enters its chain at the last place, and moves on with the next one: the
        words of a chain that is not full stand at its end.

    Examples
    --------
    >>> chain_places(5)
    [0, 1, 2, 4, 5]
    """
    return [k + (-count % CHAIN if k >= count - count % CHAIN else 0) for k in range(count)]


def chain_word_layout(segments):
    """Layout of a word on its way into a chain.

    `word`: its bytes; `chain`: which one; `complete`: with it the vector is, `tags` are its tags.
    """
    return data.StructLayout(
        {
            "word": data.ArrayLayout(8, WORD_BYTES),
            "chain": range(segments // CHAIN),
            "complete": 1,
            "tags": VectorTags,
        }
    )


class WordChains(wiring.Component):
    """Shift words into chains of three, and offer all chains as a vector when it is complete.

    The twin of `chain_places`. A word a cycle; one waits before the chains, the first word of a
    vector until the cycle in which the vector before it leaves.

    Parameters
    ----------
    segments : int
        Words of a vector; a multiple of three.

    Members
    -------
    i : ``In(stream.Signature(chain_word_layout(segments)))``
    o : ``Out(stream.Signature(vector_layout(16 * segments)))``
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, segments: int):
        if not isinstance(segments, int) or segments < 1 or segments % CHAIN:
            raise ValueError(f"Segments must be a multiple of {CHAIN}, not {segments!r}")
        self.segments = segments
        super().__init__(
            {
                "i": In(stream.Signature(chain_word_layout(segments))),
                "o": Out(stream.Signature(vector_layout(WORD_BYTES * segments))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        waiting = Signal.like(self.i.p, reset_less=True)
        waits, moves = Signal(), Signal()
        chosen = Signal(self.segments // CHAIN)
        m.d.comb += [
            moves.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(~waits | moves),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                waits.eq(self.i.valid),
                waiting.eq(self.i.p),
                chosen.eq(Mux(self.i.valid, 1 << self.i.p.chain, 0)),
            ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(waits & moves):
            m.d.sync += [self.o.valid.eq(waiting.complete), self.o.p.tags.eq(waiting.tags)]

        word = data.ArrayLayout(8, WORD_BYTES)
        for chain in range(self.segments // CHAIN):
            words = [Signal(word, name=f"word_{chain}_{k}", reset_less=True) for k in range(CHAIN)]
            with m.If(chosen[chain] & moves):
                m.d.sync += [
                    *(earlier.eq(later) for earlier, later in pairwise(words)),
                    words[-1].eq(waiting.word),
                ]
            for place, byte in np.ndindex(CHAIN, WORD_BYTES):
                lane = WORD_BYTES * (CHAIN * chain + place) + byte
                m.d.comb += self.o.p.lanes[lane].eq(words[place][byte])

        return m
