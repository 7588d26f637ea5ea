"""The rows behind the sums: codes of each, rescaled, and logits one after the other."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.parameter_loader import row_layout
from downshift.hw.registers import registered
from downshift.hw.rescale import Rescale
from downshift.hw.table import row_order

__all__ = ["OutputRows"]

NEIGHBOURS = 4
"""Rows that share a register."""


class OutputRows(wiring.Component):
    """Accumulators of all rows to codes, `latency` cycles later.

    Parameters
    ----------
    rows : int
    acc_width : int
        Bits of an accumulator.
    logits_latency : int
        Cycles from a vector of accumulators to its first logit; the others leave in `row_order`,
        one a cycle.
    multiplier_width : int
        Bits of a multiplier, 16 or 24.
    fabric : Fabric

    Members
    -------
    zero_point, out_max : ``In(8)``
        Of the codes, as of `Rescale`.
    parameters : ``In(ArrayLayout(row_layout(multiplier_width), rows))``
    residual : ``In(ArrayLayout(8, rows))``
        Codes that are added, times the factors of the parameters.
    i : ``In(stream.Signature(ArrayLayout(signed(acc_width), rows), always_ready=True))``
        Accumulators, their bias added.
    o : ``Out(stream.Signature(ArrayLayout(8, rows), always_ready=True))``
    logit : ``Out(signed(acc_width))``
    """

    latency = 1 + Rescale.latency

    def __init__(
        self,
        *,
        rows: int,
        acc_width: int,
        logits_latency: int,
        multiplier_width: int = 16,
        fabric: Fabric | None = None,
    ):
        self.rows = rows
        self.acc_width = acc_width
        self.logits_latency = logits_latency
        self.multiplier_width = multiplier_width
        self.fabric = fabric or Fabric()
        accs = data.ArrayLayout(signed(acc_width), rows)
        codes = data.ArrayLayout(8, rows)
        super().__init__(
            {
                "zero_point": In(8),
                "out_max": In(8),
                "parameters": In(data.ArrayLayout(row_layout(multiplier_width), rows)),
                "residual": In(codes),
                "i": In(stream.Signature(accs, always_ready=True)),
                "o": Out(stream.Signature(codes, always_ready=True)),
                "logit": Out(signed(acc_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Codes. What is stable during a pass comes from neighbour to neighbour.
        told = {"zero_point": self.zero_point, "out_max": self.out_max}
        for index, row in enumerate(row_order(self.rows)):
            if index % NEIGHBOURS == 0:
                told = registered(m, told)
            parameters = self.parameters[row]
            rescale = Rescale(
                acc_width=self.acc_width,
                multiplier_width=self.multiplier_width,
                fabric=self.fabric,
            )
            m.submodules[f"rescale_{row}"] = shared(rescale, platform)
            product = Signal(24, name=f"product_{row}", reset_less=True)
            total = Signal(signed(self.acc_width), name=f"total_{row}", reset_less=True)
            self.fabric.multiply(
                m,
                f"residual_product_{row}",
                o=product,
                a=self.residual[row],
                b=parameters.residual,
            )
            m.d.sync += total.eq(self.i.p[row] + product)
            m.d.comb += [
                rescale.scale.eq(parameters.scale),
                rescale.zero_point.eq(told["zero_point"]),
                rescale.out_max.eq(told["out_max"]),
                rescale.i.eq(total),
                self.o.p[row].eq(rescale.o),
            ]
        arrived = Signal(self.latency)
        m.d.sync += arrived.eq(Cat(self.i.valid, arrived))
        m.d.comb += self.o.valid.eq(arrived[-1])

        # Logits leave past neighbours.
        coming = Signal(self.logits_latency - 2)
        m.d.sync += coming.eq(Cat(self.i.valid, coming))
        logits = [LogitRow(acc_width=self.acc_width) for _ in range(self.rows)]
        for row, here, behind in zip(
            row_order(self.rows), logits, [*logits[1:], None], strict=True
        ):
            m.submodules[f"logit_{row}"] = shared(here, platform)
            m.d.comb += [
                here.load.eq(coming[-1]),
                here.i.eq(self.i.p[row]),
                here.behind.eq(0 if behind is None else behind.o),
            ]
        m.d.comb += self.logit.eq(logits[0].o)

        return m


class LogitRow(wiring.Component):
    """A row's place in the chain of logits.

    Parameters
    ----------
    acc_width : int
        Bits of a logit.

    Members
    -------
    load : ``In(1)``
        Take `i` in the next cycle, instead of what comes from behind.
    i, behind : ``In(signed(acc_width))``
    o : ``Out(signed(acc_width))``
    """

    def __init__(self, *, acc_width: int):
        self.acc_width = acc_width
        logit = signed(acc_width)
        super().__init__({"load": In(1), "i": In(logit), "behind": In(logit), "o": Out(logit)})

    def elaborate(self, platform):
        m = Module()
        load = Signal()
        logit = Signal.like(self.o, reset_less=True)
        m.d.sync += [load.eq(self.load), logit.eq(Mux(load, self.i, self.behind))]
        m.d.comb += self.o.eq(logit)
        return m
