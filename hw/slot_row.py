"""The sums of one output channel: quarters of a slot, and what came before."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Addition, Fabric
from downshift.hw.table import QUARTERS

__all__ = ["SlotRow"]


class SlotRow(wiring.Component):
    """Add up some quarters, and a bias or the sum so far; `latency` cycles.

    What selects has a register here, so that no net spans all rows.

    Parameters
    ----------
    sum_width, acc_width : int
        As of `SlotSums`.
    fabric : Fabric

    Members
    -------
    quarters : ``In(4)``
        Which of them count a cycle later.
    i : ``In(ArrayLayout(sum_width, 4))``
        Sum of each.
    first, valid : ``In(1)``
        A cycle after `i`: the sum starts from `bias`; `o` takes it.
    bias : ``In(signed(acc_width))``
        In force two cycles after `i`.
    so_far : ``In(signed(acc_width))``
        A cycle after `i`.
    o : ``Out(signed(acc_width))``
    """

    latency = 3

    def __init__(self, *, sum_width: int, acc_width: int, fabric: Fabric):
        self.sum_width = sum_width
        self.acc_width = acc_width
        self.fabric = fabric
        super().__init__(
            {
                "quarters": In(QUARTERS),
                "i": In(data.ArrayLayout(sum_width, QUARTERS)),
                "first": In(1),
                "valid": In(1),
                "bias": In(signed(acc_width)),
                "so_far": In(signed(acc_width)),
                "o": Out(signed(acc_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        quarters = Signal.like(self.quarters, reset_less=True)
        first, valid = Signal(reset_less=True), Signal(reset_less=True)
        so_far = Signal.like(self.so_far, reset_less=True)
        m.d.sync += [
            quarters.eq(self.quarters),
            first.eq(self.first),
            valid.eq(self.valid),
            so_far.eq(self.so_far),
        ]

        # Cycle 1: halves of the slot.
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
        m.d.sync += [r.eq(half) for half, r in zip(halves, late, strict=True)]

        # Cycle 2: the slot.
        slot = Signal(self.sum_width + 2)
        late_slot = Signal.like(slot, reset_less=True)
        additions.append(Addition(o=slot, a=late[0], b=late[1]))
        m.d.sync += late_slot.eq(slot)

        # Cycle 3: the sum.
        total = Signal(self.acc_width)
        acc = Signal.like(self.o, reset_less=True)
        additions.append(
            Addition(
                o=total,
                a=late_slot,
                b=self.bias.as_unsigned(),
                other=so_far.as_unsigned(),
                select=first,
            )
        )
        with m.If(valid):
            m.d.sync += acc.eq(total)
        m.d.comb += self.o.eq(acc)

        self.fabric.add(m, "sum", additions)
        return m
