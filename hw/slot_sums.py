"""Slot sums: the quarters of a table array put together, and the tiles of the depth added up."""

from itertools import pairwise

import numpy as np
from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Addition, Fabric
from downshift.hw.mac import VectorTags
from downshift.hw.table import QUARTERS

__all__ = ["SlotSums", "slot_sums"]


def slot_sums(sums, *, slots):
    """Put the quarters of each slot together.

    Parameters
    ----------
    sums : int array, shape (..., rows, 4)
        By quarter.
    slots : int
        1, 2 or 4.

    Returns
    -------
    int array, shape (..., slots, rows)

    Examples
    --------
    >>> slot_sums([[1, 2, 3, 4]], slots=2).tolist()
    [[3], [7]]
    """
    sums = np.asarray(sums)
    return np.moveaxis(sums.reshape(*sums.shape[:-1], slots, -1).sum(axis=-1), -1, -2)


class SlotSums(wiring.Component):
    """Sum each slot, and hold a sum per row and slot from one tile of the depth to the next.

    The twin of `slot_sums`, then of `partial_sums`, with a bias where a sum starts. A vector takes
    `slots` cycles; they must be over, and four cycles, before the next one comes. The slots of a
    vector tagged `last` leave one after the other, the first `latency` cycles after it came.

    Parameters
    ----------
    rows : int
        Output channels.
    sum_width : int
        Bits of the unsigned sum of a quarter.
    acc_width : int
        Bits of an accumulator.
    depth : int
        Slots of all vectors in a tile, at most.
    fabric : Fabric

    Members
    -------
    slots : ``In(2)``
        log2 of the slots of a vector, 0…2.
    keep : ``In(1)``
        All vectors of a tile belong to the same pixel: they are added up.
    bias : ``In(ArrayLayout(signed(acc_width), rows))``
        What sums start from.
    i : ``In(stream.Signature(..., always_ready=True))``
        As from `TableArray`: sums stay in force until the next vector.
    soon : ``Out(1)``
        Accumulators come two cycles later.
    o : ``Out(stream.Signature(..., always_ready=True))``
        Accumulators of a slot, in force until the next one, and the tags of its vector; `end` with
        its last slot only.

    Sums wrap at `acc_width` bits, so that only what leaves must fit.
    """

    i: stream.Interface
    o: stream.Interface

    latency = 3

    def __init__(
        self, *, rows: int, sum_width: int, acc_width: int, depth: int, fabric: Fabric | None = None
    ):
        self.rows = rows
        self.sum_width = sum_width
        self.acc_width = acc_width
        self.depth = depth
        self.fabric = fabric or Fabric()
        quarters = data.ArrayLayout(sum_width, QUARTERS)
        accs = data.ArrayLayout(signed(acc_width), rows)
        tagged = data.StructLayout({"sums": data.ArrayLayout(quarters, rows), "tags": VectorTags})
        self.o_layout = data.StructLayout({"accs": accs, "tags": VectorTags})
        super().__init__(
            {
                "slots": In(2),
                "keep": In(1),
                "bias": In(accs),
                "i": In(stream.Signature(tagged, always_ready=True)),
                "soon": Out(1),
                "o": Out(stream.Signature(self.o_layout, always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Slots of the vector, and where their sums are held.
        slot, last_slot = Signal(2), Signal(2)
        working, active, ending = Signal(), Signal(), Signal()
        tags, held_tags = Signal(VectorTags), Signal(VectorTags)
        place = Signal(range(self.depth))
        m.d.comb += [
            last_slot.eq((1 << self.slots) - 1),
            active.eq(self.i.valid | working),
            ending.eq(slot == last_slot),
            tags.eq(Mux(self.i.valid, self.i.p.tags, held_tags)),
        ]
        with m.If(active):
            m.d.sync += [
                held_tags.eq(tags),
                working.eq(~ending),
                slot.eq(Mux(ending, 0, slot + 1)),
                place.eq(Mux(ending & (tags.end | self.keep), 0, place + 1)),
            ]
        stages = [Signal(_Stage, name=f"stage_{k}") for k in range(self.latency + 1)]
        m.d.comb += [
            stages[0].valid.eq(active),
            stages[0].place.eq(place),
            stages[0].tags.first.eq(tags.first),
            stages[0].tags.last.eq(tags.last),
            stages[0].tags.end.eq(tags.end & ending),
        ]
        m.d.sync += [later.eq(stage) for stage, later in pairwise(stages)]

        # Sums so far: read while the slot is put together.
        accs = self.o.p.accs
        m.submodules.memory = memory = Memory(shape=accs.shape(), depth=self.depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        so_far = Signal.like(accs, reset_less=True)
        m.d.comb += [
            read.addr.eq(stages[0].place),
            read.en.eq(1),
            write.addr.eq(stages[3].place),
            write.data.eq(accs),
            write.en.eq(stages[3].valid),
            self.soon.eq(stages[1].valid & stages[1].tags.last),
            self.o.valid.eq(stages[3].valid & stages[3].tags.last),
            self.o.p.tags.eq(stages[3].tags),
        ]
        m.d.sync += so_far.eq(read.data)

        # The quarters of the slot.
        quarters = Signal(QUARTERS)
        with m.Switch(self.slots):
            with m.Case(0):
                m.d.comb += quarters.eq(0b1111)
            with m.Case(1):
                m.d.comb += quarters.eq(Mux(slot[0], 0b1100, 0b0011))
            with m.Default():
                m.d.comb += quarters.eq(1 << slot)
        for index in range(self.rows):
            self._add(m, index, quarters, so_far[index], stages[2], accs[index])

        return m

    def _add(self, m, index, quarters, so_far, stage, acc):
        """One row: halves, the slot, the sum so far."""
        sums = self.i.p.sums[index]
        halves = [Signal(self.sum_width + 1, name=f"half_{index}_{k}") for k in range(2)]
        late = [Signal.like(half, name=f"{half.name}_r", reset_less=True) for half in halves]
        slot = Signal(self.sum_width + 2, name=f"slot_{index}")
        late_slot = Signal.like(slot, name=f"{slot.name}_r", reset_less=True)
        total = Signal(self.acc_width, name=f"total_{index}")
        low, high = (
            Addition(
                o=halves[k],
                a=sums[2 * k],
                gate=quarters[2 * k],
                b=sums[2 * k + 1],
                select=quarters[2 * k + 1],
            )
            for k in range(2)
        )
        self.fabric.add(m, f"halves_{index}", [low, high])
        self.fabric.add(m, f"slot_{index}", [Addition(o=slot, a=late[0], b=late[1])])
        bias = self.bias[index].as_unsigned()
        self.fabric.add(
            m,
            f"total_{index}",
            [
                Addition(
                    o=total,
                    a=late_slot,
                    b=bias,
                    other=so_far.as_unsigned(),
                    select=stage.tags.first,
                )
            ],
        )
        m.d.sync += [
            *(r.eq(half) for half, r in zip(halves, late, strict=True)),
            late_slot.eq(slot),
        ]
        with m.If(stage.valid):
            m.d.sync += acc.eq(total)


class _Stage(data.Struct):
    """What accompanies a slot on its way."""

    valid: 1
    place: 16
    tags: VectorTags
