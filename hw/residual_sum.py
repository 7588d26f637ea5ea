"""The residual sum: codes of another map added to the sums of beats, scaled by channel."""

import numpy as np
from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.channel_serializer import channels_layout
from downshift.hw.fabric import Fabric
from downshift.hw.partial_sums import ACC_WIDTH, RESIDUAL_PLACE

__all__ = ["ResidualParameters", "ResidualSum", "add_residual", "residual_bytes"]


class ResidualParameters(data.Struct):
    """What `ChannelParameters` are where a residual is added."""

    bias: signed(26)
    residual_low: 6  # of what a code of the residual counts
    multiplier: 16
    shift: 6
    residual_high: 10


def residual_bytes(*, bias, multiplier, shift, residual):
    """Encode parameters of channels whose sums a residual is added to.

    Parameters
    ----------
    bias : int32 array, shape (channels,)
        26 bits of it count.
    multiplier, shift, residual : uint16, uint8, uint16 arrays, shape (channels,)

    Returns
    -------
    uint64 array, shape (channels,)
    """
    fields = zip(bias, multiplier, shift, residual, strict=True)
    words = [
        ResidualParameters.const({
            "bias": int(b),
            "residual_low": int(r) & 63,
            "multiplier": int(m),
            "shift": int(s),
            "residual_high": int(r) >> 6,
        }).as_bits()
        for b, m, s, r in fields
    ]  # fmt: skip
    return np.array(words, "<u8")


def add_residual(acc, residual, *, multiplier, shift):
    """Add the codes of another map to shifted sums, exactly.

    Parameters
    ----------
    acc : int32 array, shape (..., channels)
    residual : uint8 array, shape (..., channels)
    multiplier : uint16 array, shape (channels,)
    shift : int
        0…6.

    Returns
    -------
    int32 array, shape (..., channels)
        ``(acc << shift) + residual * multiplier``.

    Raises
    ------
    OverflowError
        If a sum leaves int32.

    Examples
    --------
    >>> add_residual(np.int32([-5, 7]), np.uint8([255, 2]), multiplier=np.uint16([3, 1]),
    ...              shift=2).tolist()
    [745, 30]
    """
    total = np.multiply(acc, float(1 << shift))  # float64 holds every sum exactly
    total += np.asarray(residual) * np.asarray(multiplier, np.float64)
    largest = max(-int(total.min(initial=0)), int(total.max(initial=0)))
    if largest >= 1 << 31:
        raise OverflowError(f"Sums may reach {largest}, beyond int32")
    return total.astype(np.int32)


class ResidualSum(wiring.Component):
    """`add_residual` on `channels` channels a cycle, where there is a residual.

    Sums then hold the code from bit `RESIDUAL_PLACE` on, as `PartialSums` put it there; sums
    without a residual pass. `latency` cycles; a beat stays offered until it is taken, and stalls
    those behind it.

    Parameters
    ----------
    channels : int
        Channels of a beat.
    fabric : Fabric

    Members
    -------
    residual, shift : ``In(1)``, ``In(3)``
        Whether there is one, and by how much the other sums are shifted; 0 without.
    i, o : ``In``, ``Out`` of ``stream.Signature(channels_layout(channels))``
        The parameters that enter are `ResidualParameters` where there is a residual.
    """

    latency = 3

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, channels: int, fabric: Fabric | None = None):
        self.channels = channels
        self.fabric = fabric or Fabric()
        beats = stream.Signature(channels_layout(channels))
        super().__init__({"residual": In(1), "shift": In(3), "i": In(beats), "o": Out(beats)})

    def elaborate(self, platform):
        m = Module()
        advance, valid = Signal(), Signal(self.latency)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            self.o.valid.eq(valid[-1]),
        ]
        with m.If(advance):
            m.d.sync += valid.eq(Cat(self.i.valid, valid))

        for k in range(self.channels):
            told = self.i.p.parameters[k]
            joined = data.View(ResidualParameters, told.as_value())
            total = self.i.p.sums[k]

            # A negative sum has borrowed from the code above it.
            acc, code = Signal(signed(ACC_WIDTH)), Signal(8)
            bias = Signal(signed(ACC_WIDTH))
            m.d.comb += [acc.eq(total), bias.eq(told.bias)]
            with m.If(self.residual):
                m.d.comb += [
                    acc.eq(total[:RESIDUAL_PLACE].as_signed()),
                    code.eq(total[RESIDUAL_PLACE:] + total[RESIDUAL_PLACE - 1]),
                    bias.eq(joined.bias),
                ]

            # Cycles 1 and 2: multiply the code; shift the sum. Cycle 3: add.
            added = Signal(24, name=f"added_{k}", reset_less=True)
            factor = Cat(joined.residual_low, joined.residual_high)
            self.fabric.multiply(m, f"product_{k}", o=added, a=code, b=factor, enable=advance)
            held, shifted = (
                Signal(signed(ACC_WIDTH), name=f"{name}_{k}", reset_less=True)
                for name in ("held", "shifted")
            )
            scales = [
                Signal(data.StructLayout({"bias": signed(ACC_WIDTH), "multiplier": 16, "shift": 6}),
                       name=f"scale_{k}_{stage}", reset_less=True)
                for stage in range(self.latency)
            ]  # fmt: skip
            with m.If(advance):
                m.d.sync += [
                    held.eq(acc),
                    shifted.eq(held << self.shift),
                    self.o.p.sums[k].eq(shifted + added),
                    scales[0].bias.eq(bias),
                    scales[0].multiplier.eq(told.multiplier),
                    scales[0].shift.eq(told.shift),
                    Cat(scales[1:]).eq(Cat(scales)),
                ]
            m.d.comb += [
                self.o.p.parameters[k].bias.eq(scales[-1].bias),
                self.o.p.parameters[k].multiplier.eq(scales[-1].multiplier),
                self.o.p.parameters[k].shift.eq(scales[-1].shift),
            ]

        return m
