"""Slot sums: the quarters of a table array put together, and the tiles of the depth added up."""

from itertools import pairwise

import numpy as np
from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.mac import VectorTags
from downshift.hw.slot_row import SlotRow, lane_width
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
    alone, lanes : ``In(1)``, ``In(ArrayLayout(sum_width + 2, rows))``
        Lanes count instead of quarters, each in the row of its number, and in the second slot in
        that half of the rows away. `alone` is stable during a layer.
    bias : ``In(ArrayLayout(signed(acc_width), rows))``
        What sums start from.
    next : ``In(stream.Signature(VectorTags, always_ready=True))``
        A vector comes in `lead` cycles.
    sums : ``In(ArrayLayout(ArrayLayout(sum_width, 4), rows))``
        Its sums, in force until the next vector's.
    soon : ``Out(1)``
        Accumulators come `lead` + `latency` cycles later.
    o : ``Out(stream.Signature(..., always_ready=True))``
        Accumulators of a slot, in force until the next one, and the tags of its vector; `end` with
        its last slot only.

    Sums wrap at `acc_width` bits, so that only what leaves must fit.
    """

    next: stream.Interface
    o: stream.Interface

    latency = SlotRow.latency
    lead = 4
    """Cycles that tags come before the sums."""

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
        self.o_layout = data.StructLayout({"accs": accs, "tags": VectorTags})
        super().__init__(
            {
                "slots": In(2),
                "keep": In(1),
                "alone": In(1),
                "lanes": In(data.ArrayLayout(lane_width(sum_width), rows)),
                "bias": In(accs),
                "next": In(stream.Signature(VectorTags, always_ready=True)),
                "sums": In(data.ArrayLayout(quarters, rows)),
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
            active.eq(self.next.valid | working),
            ending.eq(slot == last_slot),
            tags.eq(Mux(self.next.valid, self.next.p, held_tags)),
        ]
        with m.If(active):
            m.d.sync += [
                slot.eq(Mux(ending, 0, slot + 1)),
                held_tags.eq(tags),
                working.eq(~ending),
                place.eq(Mux(ending & (tags.end | self.keep), 0, place + 1)),
            ]
        stages = [Signal(_Stage, name=f"stage_{k}") for k in range(self.lead + self.latency + 1)]
        m.d.comb += [
            stages[0].valid.eq(active),
            stages[0].place.eq(place),
            stages[0].tags.first.eq(tags.first),
            stages[0].tags.last.eq(tags.last),
            stages[0].tags.end.eq(tags.end & ending),
        ]
        m.d.sync += [later.eq(stage) for stage, later in pairwise(stages)]

        m.d.comb += [
            self.soon.eq(stages[0].valid & stages[0].tags.last),
            self.o.valid.eq(stages[-1].valid & stages[-1].tags.last),
            self.o.p.tags.eq(stages[-1].tags),
        ]

        # The quarters of the slot, the cycle before the sums.
        early = self.lead - 1
        quarters, counted = Signal(QUARTERS), Signal(early * QUARTERS)
        second = Signal(early)
        m.d.sync += [
            counted.eq(Cat(Mux(self.alone, 0, quarters), counted)),
            second.eq(Cat(slot[0], second)),
        ]
        with m.Switch(self.slots):
            with m.Case(0):
                m.d.comb += quarters.eq(0b1111)
            with m.Case(1):
                m.d.comb += quarters.eq(Mux(slot[0], 0b1100, 0b0011))
            with m.Default():
                m.d.comb += quarters.eq(1 << slot)
        for index in range(self.rows):
            row = SlotRow(
                sum_width=self.sum_width,
                acc_width=self.acc_width,
                depth=self.depth,
                fabric=self.fabric,
            )
            m.submodules[f"row_{index}"] = shared(row, platform)
            m.d.comb += [
                row.quarters.eq(counted[-QUARTERS:]),
                row.place.eq(stages[early].place),
                row.i.eq(self.sums[index]),
                row.alone.eq(self.alone),
                row.second.eq(second[-1]),
                row.lanes[0].eq(self.lanes[index]),
                row.lanes[1].eq(self.lanes[(index + self.rows // 2) % self.rows]),
                row.first.eq(stages[early + 2].tags.first),
                row.valid.eq(stages[early + 2].valid),
                row.hold.eq(stages[early + 3].valid),
                row.hold_place.eq(stages[early + 3].place),
                row.bias.eq(self.bias[index]),
                self.o.p.accs[index].eq(row.o),
            ]

        return m


class _Stage(data.Struct):
    """What accompanies a slot on its way."""

    valid: 1
    place: 16
    tags: VectorTags
