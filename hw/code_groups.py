"""Code groups: the codes of a vector, three at a time, for lanes that multiply as many at once."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.mac import VectorTags
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.word_chains import CHAIN, chain_word_layout

__all__ = ["CodeGroups", "code_groups", "group_layout", "groups_of"]

LAST = WORD_BYTES - 1
"""Byte of a word that has no place in a group of its own."""


def code_groups(count):
    """Order the codes of `count` words in threes: the golden function of `CodeGroups`.

    Fifteen codes of a word make five groups; the sixteenth waits for those of the two words after
    it. A group of fewer words than three has no code in its first places.

    Returns
    -------
    list of list of ((int, int) or None)
        By group and place: word and byte.

    Examples
    --------
    >>> code_groups(2)[-2:]
    [[(1, 12), (1, 13), (1, 14)], [None, (0, 15), (1, 15)]]
    """
    groups, waiting = [], []
    for word in range(count):
        groups += [[(word, byte + k) for k in range(CHAIN)] for byte in range(0, LAST, CHAIN)]
        waiting.append((word, LAST))
        if len(waiting) == CHAIN or word == count - 1:
            groups.append([None] * (CHAIN - len(waiting)) + waiting)
            waiting = []
    return groups


def groups_of(count):
    """Count the groups of `count` words.

    Examples
    --------
    >>> groups_of(2) == len(code_groups(2))
    True
    """
    return LAST // CHAIN * count + -(-count // CHAIN)


def group_layout():
    """Layout of a group: its codes, and with the last one of a vector `complete` and its tags."""
    return data.StructLayout(
        {"codes": data.ArrayLayout(8, CHAIN), "complete": 1, "tags": VectorTags}
    )


class CodeGroups(wiring.Component):
    """Hand out the codes of words in groups of three, without a gap while words come.

    The twin of `code_groups`. Where a group has no code, the byte may be anything.

    Parameters
    ----------
    segments : int
        As of the words that come.

    Members
    -------
    start : ``In(1)``
        Forget all words.
    i : ``In(stream.Signature(chain_word_layout(segments)))``
        `chain` does not count. `ready` comes out of a register.
    o : ``Out(stream.Signature(group_layout()))``
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, segments: int):
        super().__init__(
            {
                "start": In(1),
                "i": In(stream.Signature(chain_word_layout(segments))),
                "o": Out(stream.Signature(group_layout())),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # The word that comes next.
        waiting = Signal.like(self.i.p, reset_less=True)
        moves, room = Signal(), Signal(init=1)
        m.d.comb += self.i.ready.eq(room)
        with m.If(self.start | moves):
            m.d.sync += room.eq(1)
        with m.Elif(self.i.valid):
            m.d.sync += room.eq(0)
        with m.If(room):
            m.d.sync += waiting.eq(self.i.p)

        # Groups of a word; then, of the last bytes of three words or of fewer.
        word = Signal(8 * LAST, reset_less=True)
        spare = Signal(data.ArrayLayout(8, CHAIN), reset_less=True)
        complete, tags = Signal(), Signal(VectorTags)
        group, words = Signal(range(LAST // CHAIN + 1)), Signal(range(CHAIN))
        of_spare, last = Signal(), Signal()  # known with the group before
        taken = Signal()
        m.d.comb += [
            self.o.p.codes.as_value().eq(Mux(of_spare, spare.as_value(), word[: 8 * CHAIN])),
            self.o.p.complete.eq(of_spare & complete),
            self.o.p.tags.eq(tags),
            taken.eq(self.o.valid & self.o.ready),
            moves.eq(~room & (~self.o.valid | (taken & last))),
        ]
        with m.If(taken):
            m.d.sync += [
                word.eq(word.rotate_right(8 * CHAIN)),
                group.eq(group + 1),
                of_spare.eq(group == LAST // CHAIN - 1),
                last.eq(
                    (group == LAST // CHAIN - 1)
                    | ((group == LAST // CHAIN - 2) & (words != CHAIN - 1) & ~complete)
                ),
            ]
            with m.If(last):
                m.d.sync += [
                    self.o.valid.eq(0),
                    words.eq(Mux(of_spare, 0, words + 1)),
                ]
        with m.If(moves):
            m.d.sync += [
                word.eq(Cat(waiting.word[k] for k in range(LAST))),
                spare.as_value().eq(Cat(spare.as_value()[8:], waiting.word[LAST])),
                complete.eq(waiting.complete),
                tags.eq(waiting.tags),
                group.eq(0),
                of_spare.eq(0),
                last.eq(0),
                self.o.valid.eq(1),
            ]
        with m.If(self.start):
            m.d.sync += [self.o.valid.eq(0), words.eq(0)]
        return m
