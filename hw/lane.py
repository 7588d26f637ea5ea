"""One lane of hard multipliers: an output channel, three codes a cycle."""

from itertools import pairwise

import numpy as np
from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Addition, Fabric
from downshift.hw.mac import VectorTags
from downshift.hw.word_chains import CHAIN

__all__ = ["Lane", "LaneControl", "LaneNeighbours", "LaneSteps"]


class LaneControl(data.Struct):
    """What all lanes are told alike."""

    load: 1
    load_address: 4
    address: 4
    valid: 1
    first: 1
    done: 1
    give: 1  # with `done`: the sum of the columns is complete


class LaneSteps(data.Struct):
    """What the lanes do with a word, or with a group of codes."""

    control: LaneControl
    tags: VectorTags  # of what it gives


class Lane(wiring.Component):
    """Multiply codes with the weights that are loaded; add up each column, and then the columns.

    Parameters
    ----------
    sum_width : int
        Bits of a sum.
    fabric : Fabric

    Members
    -------
    control : ``In(LaneControl)``
        A cycle after what it speaks of.
    dense : ``In(1)``
        Multiply the group of codes that all lanes have, not a byte of its own; stable meanwhile.
    load_data : ``In(ArrayLayout(8, 3))``
        Weights of the columns.
    code, group : ``In(8)``, ``In(ArrayLayout(8, 3))``
        A code for all columns, or one for each.
    o : ``Out(sum_width)``
        Sum of the columns, each as it was at a `done` of its own: the first one's two before, the
        second one's one before; offset by half its range. In force until the next one.
    """

    def __init__(self, *, sum_width: int, fabric: Fabric):
        self.sum_width = sum_width
        self.fabric = fabric
        super().__init__(
            {
                "control": In(LaneControl),
                "dense": In(1),
                "load_data": In(data.ArrayLayout(8, CHAIN)),
                "code": In(8),
                "group": In(data.ArrayLayout(8, CHAIN)),
                "o": Out(sum_width),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Cycles 2 and 3: inputs have registers of their own. Cycle 4: weights.
        control = Signal(LaneControl)
        loads = [Signal.like(self.load_data, name=f"load_{k}", reset_less=True) for k in range(2)]
        load_data = loads[-1]
        codes = [Signal.like(self.group, name=f"codes_{k}", reset_less=True) for k in range(3)]
        first, valid = (Signal(3, name=n, reset_less=True) for n in ("firsts", "valids"))
        done, give = (Signal(4, reset_less=True, name=n) for n in ("dones", "gives"))
        m.d.sync += [
            control.eq(self.control),
            Cat(loads).eq(Cat(self.load_data, *loads)),
            codes[0]
            .as_value()
            .eq(Mux(self.dense, self.group.as_value(), self.code.replicate(CHAIN))),
            *(later.eq(earlier) for earlier, later in pairwise(codes)),
            valid.eq(Cat(control.valid, valid)),
            first.eq(Cat(control.first, first)),
            done.eq(Cat(control.done, done)),
            give.eq(Cat(control.give, give)),
        ]
        columns = range(CHAIN)
        stored = [Signal(8, name=f"stored_{k}") for k in columns]
        weights = [Signal(signed(8), name=f"weight_{k}", reset_less=True) for k in columns]
        for column, half in np.ndindex(CHAIN, 2):
            nibble = slice(4 * half, 4 * half + 4)
            self.fabric.lut_ram(
                m,
                f"weights_{column}_{half}",
                address=control.address,
                data=stored[column][nibble],
                write=control.load,
                write_address=control.load_address,
                write_data=load_data[column][nibble],
            )
        m.d.sync += [weight.eq(s) for weight, s in zip(weights, stored, strict=True)]

        # Cycles 5 and 6: multiply. Cycle 7: add up the column.
        products = [Signal(signed(17), name=f"product_{k}", reset_less=True) for k in columns]
        sums = [Signal(self.sum_width, name=f"sum_{k}") for k in columns]
        so_far = [Signal.like(s, name=f"so_far_{k}", reset_less=True) for k, s in enumerate(sums)]
        for product, weight, code in zip(products, weights, codes[-1], strict=True):
            self.fabric.multiply(m, f"multiply_{product.name}", o=product, a=weight, b=code)
        with m.If(valid[2]):
            m.d.sync += [r.eq(s) for r, s in zip(so_far, sums, strict=True)]
        wide = [Cat(p, p[-1].replicate(self.sum_width - len(p))) for p in products]
        self.fabric.add(
            m,
            "column",
            [
                Addition(o=s, a=p, b=r, select=~first[2])
                for s, p, r in zip(sums, wide, so_far, strict=True)
            ],
        )

        # Cycle 8: add up columns.
        before, two = (Signal(self.sum_width, name=name, reset_less=True) for name in ("a", "b"))
        second, third = (Signal(self.sum_width, name=name) for name in ("second", "third"))
        self.fabric.add(
            m,
            "columns",
            [
                Addition(o=second, a=before, b=so_far[1]),
                Addition(o=third, a=two, b=so_far[2]),
            ],
        )
        output = Signal(self.sum_width, reset_less=True)
        with m.If(done[3]):
            m.d.sync += [before.eq(so_far[0]), two.eq(second)]
        with m.If(give[3]):
            m.d.sync += output.eq(third)
        m.d.comb += self.o.eq(output ^ (1 << self.sum_width - 1))
        return m


class LaneNeighbours(wiring.Component):
    """What lanes that are next to each other are told, a cycle later."""

    i: In(LaneControl)
    o: Out(LaneControl)

    def elaborate(self, platform):
        m = Module()
        told = Signal(LaneControl)
        m.d.sync += told.eq(self.i)
        m.d.comb += self.o.eq(told)
        return m
