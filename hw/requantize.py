"""Requantization: int32 accumulators to activation codes, by one multiply, add and shift."""

import numpy as np
from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.biased_product import BiasedProduct, HalfRateProduct
from downshift.hw.channel_serializer import channels_layout
from downshift.hw.fabric import Fabric
from downshift.hw.rounding import shift_half_even

__all__ = ["Requantize", "requantize"]


def requantize(acc, *, bias, multiplier, shift, zero_point, width, largest=None):
    """Rescale accumulators to unsigned activation codes.

    Parameters
    ----------
    acc : int32 array, shape (..., channels)
        Accumulators.
    bias : int32 array, shape (channels,) or scalar
        Added before scaling.
    multiplier : uint16 or uint32 array, shape (channels,) or scalar
        M of the scale M / 2**S, below 2**24.
    shift : uint8 array, shape (channels,) or scalar
        S of the scale, 0…63.
    zero_point : int
        Code of zero, 0…255, added after rounding.
    width : int
        Bits of the codes, 1…8.
    largest : int, optional
        Largest code, by default ``2**width - 1``.

    Returns
    -------
    uint8 array, the shape of `acc`
        ``clip(rhe((acc + bias) * multiplier / 2**shift) + zero_point, 0, largest)``.

    Examples
    --------
    >>> requantize([-9, 5, 7, 900], bias=1, multiplier=1 << 15, shift=17, zero_point=2,
    ...            width=8).tolist()
    [0, 4, 4, 227]
    """
    # A product of 2**53 or more may lose bits in float64. Shifted by up to 44, it is beyond all
    # codes all the same; shifted by more, it needs integers.
    if np.max(multiplier) >= 1 << 20 and np.max(shift) > 44:
        scaled = (np.asarray(acc, np.int64) + bias) * np.asarray(multiplier, np.int64)
        # |scaled| < 2**56: a shift beyond 58 gives what 58 gives.
        rounded = np.asarray(shift_half_even(scaled, np.minimum(np.asarray(shift, np.int64), 58)))
    else:
        scale = np.ldexp(np.asarray(multiplier, np.float64), -np.asarray(shift, np.int32))
        rounded = np.asarray(np.add(acc, bias, dtype=np.float64) * scale)
        np.rint(rounded, out=rounded)  # half to even
    rounded += zero_point
    most = (1 << width) - 1 if largest is None else largest
    return np.clip(rounded, 0, most, out=rounded).astype(np.uint8)


class Requantize(wiring.Component):
    """`requantize` on `channels` channels a cycle, exact for every value of every field.

    Two hard multipliers a channel; a beat stays offered until it is taken, and stalls those behind
    it. At half rate one multiplier; a beat is taken in the second cycle that it is offered, and
    sums with their bias may have 31 bits.

    Parameters
    ----------
    channels : int
        Channels of a beat.
    half_rate : bool
    fabric : Fabric

    Members
    -------
    zero_point : ``In(8)``
        Code of zero.
    out_max : ``In(8)``
        Largest code.
    i : ``In(stream.Signature(channels_layout(channels)))``
    o : ``Out(stream.Signature(ArrayLayout(8, channels)))``
        Codes.
    """

    registers = 7
    """From offering a beat to its codes."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, channels: int, half_rate: bool = False, fabric: Fabric | None = None):
        if not isinstance(channels, int) or channels < 1:
            raise ValueError(f"Channels must be a positive integer, not {channels!r}")
        self.channels = channels
        self.half_rate = half_rate
        self.fabric = fabric or Fabric()
        super().__init__(
            {
                "zero_point": In(8),
                "out_max": In(8),
                "i": In(stream.Signature(channels_layout(channels))),
                "o": Out(stream.Signature(data.ArrayLayout(8, channels))),
            }
        )

    @classmethod
    def latency_of(cls, *, half_rate: bool) -> int:
        """Cycles from taking a beat to its codes."""
        return cls.registers - half_rate

    def elaborate(self, platform):
        m = Module()
        advance, begin = Signal(), Signal()
        valid = Signal(self.registers)
        m.d.comb += [advance.eq(~self.o.valid | self.o.ready), self.o.valid.eq(valid[-1])]
        if self.half_rate:
            begun = Signal()
            m.d.comb += [self.i.ready.eq(advance & begun), begin.eq(self.i.valid & ~begun)]
            with m.If(advance):
                m.d.sync += begun.eq(begin)
        else:
            m.d.comb += [self.i.ready.eq(advance), begin.eq(self.i.valid)]
        with m.If(advance):
            m.d.sync += valid.eq(Cat(begin, valid))

        # The largest code, counted from the zero point; both stand for the whole layer. In a slow
        # design it is compared with the code itself.
        most = Signal(signed(9))
        if not self.half_rate:
            m.d.sync += most.eq(self.out_max - self.zero_point)

        for k in range(self.channels):
            product = HalfRateProduct(fabric=self.fabric) if self.half_rate else BiasedProduct()
            m.submodules[f"product_{k}"] = product
            m.submodules[f"channel_{k}"] = channel = _Channel(slow=self.half_rate)
            parameters = self.i.p.parameters[k]
            m.d.comb += [
                product.enable.eq(advance),
                product.acc.eq(self.i.p.sums[k]),
                product.bias.eq(parameters.bias),
                product.multiplier.eq(parameters.multiplier),
                product.shift.eq(parameters.shift),
                channel.enable.eq(advance),
                channel.zero_point.eq(self.zero_point),
                channel.out_max.eq(self.out_max),
                channel.most.eq(most),
                channel.product.eq(product.o),
                channel.shift.eq(product.o_shift),
                self.o.p[k].eq(channel.code),
            ]
            if self.half_rate:
                m.d.comb += product.begin.eq(begin)

        return m


class _Channel(wiring.Component):
    """Shift, round and clip products of one channel."""

    enable: In(1)
    product: In(signed(49))
    shift: In(6)
    zero_point: In(8)
    out_max: In(8)
    most: In(signed(9))
    code: Out(8)

    def __init__(self, *, slow: bool):
        self.slow = slow
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        # Cycles 1 to 3: the product; a guard bit below will hold the half.
        product = self.product << 1
        # Cycle 4: shift by eights. Of the rest only whether there is any counts, and of what lies
        # above whether it is more than signs.
        by_32, by_16 = Signal(signed(42)), Signal(signed(26))
        coarse, coarse_rest, coarse_inside = Signal(signed(18)), Signal(), Signal()
        negative = Signal(2)
        # Cycle 5: shift by ones. Nine bits, a sign and the guard are enough: beyond them lies the
        # range of no code.
        by_4, by_2 = Signal(signed(14)), Signal(signed(12))
        fine, fine_rest, inside = Signal(signed(11)), Signal(), Signal()
        # Cycle 6: saturate.
        narrow, rest = Signal(signed(11)), Signal()
        eights, ones = self.shift[3:], Signal(3)
        m.d.comb += [
            by_32.eq(Mux(eights[2], product >> 32, product)),
            by_16.eq(Mux(eights[1], by_32 >> 16, by_32)),
            by_4.eq(Mux(ones[2], coarse >> 4, coarse)),
            by_2.eq(Mux(ones[1], by_4 >> 2, by_4)),
        ]

        # Cycle 7: round half to even, move to the zero point, clip.
        floor = narrow[1:].as_signed()
        up = narrow[0] & (rest | floor[0])
        moved, over = Signal(signed(12)), Signal()
        m.d.comb += moved.eq(floor + up + self.zero_point)
        if self.slow:
            m.d.comb += over.eq(moved > self.out_max)
        else:
            beyond = Signal(signed(12))
            m.d.comb += [beyond.eq(floor + up + ~self.most), over.eq(beyond >= 0)]

        with m.If(self.enable):
            m.d.sync += [
                coarse.eq(Mux(eights[0], by_16 >> 8, by_16)),
                coarse_rest.eq(_any_below(product, eights, step=8)),
                coarse_inside.eq(_signs_from(product, eights, first=17, step=8)),
                fine.eq(Mux(ones[0], by_2 >> 1, by_2)),
                fine_rest.eq(coarse_rest | _any_below(coarse, ones, step=1)),
                inside.eq(coarse_inside & _signs_from(coarse, ones, first=10, step=1)),
                negative.eq(Cat(product[-1], negative)),
                narrow.eq(Mux(inside, fine, Mux(negative[1], -1024, 1023))),
                rest.eq(fine_rest),
                self.code.eq(Mux(moved < 0, 0, Mux(over, self.out_max, moved))),
            ]
            m.d.sync += ones.eq(self.shift)

        return m


def _any_below(value, steps, *, step):
    """Whether any of the lowest ``steps * step`` bits of `value` is set; `steps` has 3 bits."""
    parts = (value[k * step : (k + 1) * step].any() & (steps > k) for k in range(7))
    return Cat(parts).any()


def _signs_from(value, steps, *, first, step):
    """Whether all bits from ``first + steps * step`` up are equal; `steps` has 3 bits."""
    apart = value.as_unsigned() ^ value[-1].replicate(len(value))
    parts = (apart[first + k * step :][:step].any() & (steps <= k) for k in range(7))
    return ~(Cat(parts).any() | apart[first + 7 * step :].any())
