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
    takes : ``In(1)``
        `ready` of `o` in the next cycle: what enables the chains is known in time to reach them.
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
                "takes": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        waiting = Signal.like(self.i.p, reset_less=True)
        # The word that waits enters its chain in this cycle if it `moves`; if a vector is complete
        # then, it is offered.
        waits, moves, free = Signal(), Signal(init=1), Signal(init=1)
        enters = Signal(self.segments // CHAIN)
        will_wait, will_offer, will_move = Signal(), Signal(), Signal()
        chain = Signal.like(self.i.p.chain)
        m.d.comb += [
            self.i.ready.eq(free),
            will_wait.eq(Mux(free, self.i.valid, waits)),
            will_offer.eq(Mux(waits & moves, waiting.complete, self.o.valid & ~self.o.ready)),
            will_move.eq(~will_offer | self.takes),
            chain.eq(Mux(free, self.i.p.chain, waiting.chain)),
        ]
        m.d.sync += [
            waits.eq(will_wait),
            self.o.valid.eq(will_offer),
            moves.eq(will_move),
            free.eq(~will_wait | will_move),
            *(
                enter.eq(will_wait & will_move & (chain == index))
                for index, enter in enumerate(enters)
            ),
        ]
        with m.If(free):
            m.d.sync += waiting.eq(self.i.p)
        with m.If(waits & moves):
            m.d.sync += self.o.p.tags.eq(waiting.tags)

        word = data.ArrayLayout(8, WORD_BYTES)
        for chain in range(self.segments // CHAIN):
            words = [Signal(word, name=f"word_{chain}_{k}", reset_less=True) for k in range(CHAIN)]
            with m.If(enters[chain]):
                m.d.sync += [
                    *(earlier.eq(later) for earlier, later in pairwise(words)),
                    words[-1].eq(waiting.word),
                ]
            for place, byte in np.ndindex(CHAIN, WORD_BYTES):
                lane = WORD_BYTES * (CHAIN * chain + place) + byte
                m.d.comb += self.o.p.lanes[lane].eq(words[place][byte])

        return m
