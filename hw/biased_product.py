"""Products of biased accumulators with the multiplier of a scale."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Fabric

__all__ = ["HALF_RATE_BITS", "BiasedProduct", "HalfRateProduct"]

HALF_RATE_BITS = 31
"""Bits of a biased accumulator that `HalfRateProduct` multiplies."""


class BiasedProduct(wiring.Component):
    """``(acc + bias) * multiplier``, `latency` enabled cycles later, in two hard multipliers.

    Its shift comes along.

    Members
    -------
    enable : ``In(1)``
    acc, bias : ``In(signed(32))``
    multiplier : ``In(16)``
    shift : ``In(6)``
    o : ``Out(signed(49))``
    o_shift : ``Out(6)``
    """

    latency = 3

    enable: In(1)
    acc: In(signed(32))
    bias: In(signed(32))
    multiplier: In(16)
    shift: In(6)
    o: Out(signed(49))
    o_shift: Out(6)

    def elaborate(self, platform):
        m = Module()

        # Cycle 1: add the bias.
        biased = Signal(signed(33))
        multiplier = Signal(16, reset_less=True)
        # Cycle 2: multiply the halves, each in one hard multiplier; its registers take no reset.
        low, high = Signal(32, reset_less=True), Signal(32, reset_less=True)
        minus = Signal(16)  # what the sign of the sum takes off
        shifts = [Signal(6, name=f"shift_{k}") for k in range(2)]
        # Cycle 3: add the halves.
        with m.If(self.enable):
            m.d.sync += [
                biased.eq(self.acc + self.bias),
                multiplier.eq(self.multiplier),
                low.eq(biased[:16] * multiplier),
                high.eq(biased[16:32] * multiplier),
                minus.eq(Mux(biased[32], multiplier, 0)),
                self.o.eq(((high - (minus << 16)) << 16) + low),
            ]
            m.d.sync += Cat(*shifts, self.o_shift).eq(Cat(self.shift, *shifts))

        return m


class HalfRateProduct(BiasedProduct):
    """The same in one hard multiplier: every second cycle at most, and in fewer bits.

    `o` and `o_shift` come `latency` enabled cycles after `begin`, for one.

    Parameters
    ----------
    fabric : Fabric

    Members
    -------
    begin : ``In(1)``
        The operands are there, and stay for another cycle; not two cycles in a row.
    acc, bias : ``In(signed(32))``
        Their sum is one of 31 bits.
    enable, multiplier, shift, o, o_shift : as of `BiasedProduct`
    """

    begin: In(1)

    def __init__(self, *, fabric: Fabric | None = None):
        self.fabric = fabric or Fabric()
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        # The low 15 bits of the sum go to the multiplier at once, the others a cycle later.
        biased = Signal(signed(HALF_RATE_BITS))
        factor = Signal(signed(16))
        low_done = Signal(2)  # the low product is being made; the high one
        m.d.comb += [
            biased.eq(self.acc + self.bias),
            factor.eq(Mux(self.begin, biased[:15], biased[15:].as_signed())),
        ]
        with m.If(self.enable):
            m.d.sync += low_done.eq(Cat(self.begin, low_done))
            with m.If(low_done[0]):
                m.d.sync += self.o_shift.eq(self.shift)

        # What the low product has above its 15 lowest bits joins the high one.
        product = Signal(signed(32))
        lowest = Signal(15)
        self.fabric.multiply_add(
            m,
            "product",
            product,
            a=factor,
            b=self.multiplier,
            c=Mux(low_done[1], product[15:31], 0),
            enable=self.enable,
        )
        with m.If(self.enable):
            m.d.sync += lowest.eq(product[:15])
        m.d.comb += self.o.eq(Cat(lowest, product).as_signed())

        return m
