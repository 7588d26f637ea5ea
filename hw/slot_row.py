"""The sums of one output channel: quarters of a slot, and what came before, which it holds."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.block_ram import BlockRam
from downshift.hw.fabric import Addition, Fabric
from downshift.hw.registers import registered
from downshift.hw.table import QUARTERS

__all__ = ["SlotRow", "lane_width"]


def lane_width(sum_width):
    """Bits of the sum of a lane: as many as those of four quarters."""
    return sum_width + 2


class SlotRow(wiring.Component):
    """Add up some quarters, and a bias or the sum so far; `latency` cycles.

    What controls it has a register here, so that no net spans all rows.

    Parameters
    ----------
    sum_width, acc_width, depth : int
        As of `SlotSums`.
    fabric : Fabric

    Members
    -------
    quarters, place : ``In(4)``, ``In(range(depth))``
        A cycle before `i`: which of them count, and where the sum so far is held.
    i : ``In(ArrayLayout(sum_width, 4))``
        Sum of each.
    first, valid : ``In(1)``
        A cycle after `i`: the sum starts from `bias`; `o` takes it.
    hold, hold_place : ``In(1)``, ``In(range(depth))``
        Two cycles after `i`: the sum is held, and where.
    bias : ``In(signed(acc_width))``
        In force two cycles after `i`.
    alone, second, lanes : ``In(1)``, ``In(1)``, ``In(ArrayLayout(sum_width + 2, 2))``
        Instead of quarters, of which none may count then, one of two lanes does: with `second` the
        second one. Lanes come with `i`, and `second` with `quarters`.
    o : ``Out(signed(acc_width))``
    """

    latency = 3

    def __init__(self, *, sum_width: int, acc_width: int, depth: int, fabric: Fabric):
        self.sum_width = sum_width
        self.acc_width = acc_width
        self.depth = depth
        self.fabric = fabric
        super().__init__(
            {
                "quarters": In(QUARTERS),
                "place": In(range(depth)),
                "hold": In(1),
                "hold_place": In(range(depth)),
                "i": In(data.ArrayLayout(sum_width, QUARTERS)),
                "first": In(1),
                "valid": In(1),
                "bias": In(signed(acc_width)),
                "alone": In(1),
                "second": In(1),
                "lanes": In(data.ArrayLayout(lane_width(sum_width), 2)),
                "o": Out(signed(acc_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        names = ("quarters", "first", "valid", "alone", "second", "place", "hold", "hold_place")
        held = registered(m, {name: getattr(self, name) for name in names})
        quarters = held["quarters"]
        m.submodules.memory = memory = BlockRam(
            width=self.acc_width, depth=self.depth, near=True, fabric=self.fabric
        )
        m.d.comb += [
            memory.read.address.eq(held["place"]),
            memory.read.enable.eq(1),
            memory.write_address.eq(held["hold_place"]),
            memory.write_enable.eq(held["hold"]),
            memory.write_data.eq(self.o),
        ]

        # Cycle 1: halves of the slot, or a lane.
        halves = [Signal(self.sum_width + 1, name=f"half_{k}") for k in range(2)]
        late = [Signal.like(half, name=f"{half.name}_r", reset_less=True) for half in halves]
        additions = [
            Addition(
                o=half,
                a=self.i[2 * k],
                gate=quarters[2 * k],
                b=self.i[2 * k + 1],
                select=quarters[2 * k + 1],
            )
            for k, half in enumerate(halves)
        ]
        lane = Signal.like(self.lanes[0], reset_less=True)
        m.d.sync += [
            *(r.eq(half) for half, r in zip(halves, late, strict=True)),
            lane.eq(Mux(held["second"], self.lanes[1], self.lanes[0])),
        ]

        # Cycle 2: the slot.
        slot = Signal(lane_width(self.sum_width))
        late_slot = Signal.like(slot, reset_less=True)
        additions.append(Addition(o=slot, a=late[0], b=late[1], other=lane, select=~held["alone"]))
        m.d.sync += late_slot.eq(slot)

        # Cycle 3: the sum.
        total = Signal(self.acc_width)
        acc = Signal.like(self.o, reset_less=True)
        additions.append(
            Addition(
                o=total,
                a=late_slot,
                b=self.bias.as_unsigned(),
                other=memory.read.data,
                select=held["first"],
            )
        )
        with m.If(held["valid"]):
            m.d.sync += acc.eq(total)
        m.d.comb += self.o.eq(acc)

        self.fabric.add(m, "sum", additions)
        return m
