"""Rescale: accumulators of one output channel to codes, one a cycle, in hard multipliers."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import Fabric
from downshift.hw.registers import registered

__all__ = ["Rescale", "scale_fields", "scale_layout", "shifts"]


def shifts(multiplier_width=16):
    """Return the range of what S of a scale M / 2**S may be.

    Scales are below 16: where codes and weights of 2 bits meet, a sum of 1 may be several codes of
    8 bits.

    Examples
    --------
    >>> shifts(), shifts(24)
    (range(12, 44), range(20, 52))
    """
    return range(multiplier_width - 4, multiplier_width + 28)


def scale_layout(multiplier_width=16):
    """Layout of the scale M / 2**S of a channel.

    `eights` are those of S less the least; `ones` is 2 to the power of 7 less the rest: shifting
    right is multiplying.
    """
    return data.StructLayout({"multiplier": multiplier_width, "eights": 2, "ones": 8})


def scale_fields(multiplier, shift, *, multiplier_width=16):
    """Describe a scale to `Rescale`.

    Returns
    -------
    dict of str to int
        Fields of `scale_layout`.

    Raises
    ------
    ValueError
        If `shift` is not one of `shifts`.
    """
    possible = shifts(multiplier_width)
    if shift not in possible:
        raise ValueError(f"Shift must be in {possible.start}..{possible.stop - 1}, not {shift!r}")
    eights, ones = divmod(int(shift) - possible.start, 8)
    return {"multiplier": int(multiplier), "eights": eights, "ones": 1 << 7 - ones}


class Rescale(wiring.Component):
    """`requantize` without its bias, an accumulator a cycle, `latency` cycles later.

    Three hard multipliers: two for the halves of the accumulator, one that shifts. With multipliers
    of 24 bits, five: what is below their highest 16 bits has two of its own.

    Parameters
    ----------
    acc_width : int
        Bits of an accumulator, 18…34.
    multiplier_width : int
        Bits of M, 16 or 24.

    Members
    -------
    scale : ``In(scale_layout(multiplier_width))``
    zero_point, out_max : ``In(8)``
        Code of zero; largest code. Both are stable.
    i : ``In(signed(acc_width))``
    o : ``Out(8)``
    """

    latency = 9

    def __init__(self, *, acc_width: int, multiplier_width: int = 16, fabric: Fabric | None = None):
        if not isinstance(acc_width, int) or not 18 <= acc_width <= 34:
            raise ValueError(f"Accumulators must have 18..34 bits, not {acc_width!r}")
        if multiplier_width not in (16, 24):
            raise ValueError(f"Multipliers must have 16 or 24 bits, not {multiplier_width!r}")
        self.acc_width = acc_width
        self.multiplier_width = multiplier_width
        self.fabric = fabric or Fabric()
        super().__init__(
            {
                "scale": In(scale_layout(multiplier_width)),
                "zero_point": In(8),
                "out_max": In(8),
                "i": In(signed(acc_width)),
                "o": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        split, kept = 17, 18
        told = registered(m, {"zero_point": self.zero_point, "out_max": self.out_max})
        least = shifts(self.multiplier_width).start
        finer = self.multiplier_width - 16

        # Cycles 1 and 2: multiply the halves.
        products = []
        for name, factor, place in (
            ("", self.scale.multiplier[finer:], finer), ("fine_", self.scale.multiplier[:finer], 0)
        ):  # fmt: skip
            if not len(factor):
                continue
            low = Signal(split + len(factor), name=f"{name}low", reset_less=True)
            high = Signal(
                signed(self.acc_width - split + len(factor)), name=f"{name}high", reset_less=True
            )
            for o, part in ((low, self.i[:split]), (high, self.i[split:].as_signed())):
                self.fabric.multiply(m, f"multiply_{o.name}", o=o, a=part, b=factor)
            products.append(((high << split) + low) << place)

        # Cycle 3: add them. The bit below the least shift is the half.
        product = Signal(signed(self.acc_width + self.multiplier_width), reset_less=True)
        m.d.sync += product.eq(sum(products[1:], products[0]))
        value = product[least - 1 :].as_signed()

        # Cycle 4: shift by eights; of the rest only whether there is any counts, and of what lies
        # above whether it is more than signs.
        by_16 = Signal(signed(len(value)))
        coarse = Signal(signed(kept), reset_less=True)
        rest, inside, negative = (
            Signal(5, name=name, reset_less=True) for name in ("rest", "inside", "negative")
        )
        eights = self.scale.eights
        m.d.comb += by_16.eq(Mux(eights[1], value >> 16, value))
        dropped = [value[8 * k : 8 * k + 8].any() & (eights > k) for k in range(3)]
        above = value[kept - 1 :] ^ value[-1].replicate(len(value) - kept + 1)
        beyond = [above[8 * k : 8 * k + 8].any() & (eights <= k) for k in range(4)]
        some_dropped, some_beyond = (
            Signal(4, name=name, reset_less=True) for name in ("some_dropped", "some_beyond")
        )
        m.d.sync += [
            coarse.eq(Mux(eights[0], by_16 >> 8, by_16)),
            some_dropped.eq(Cat(*dropped, product[: least - 1].any())),
            some_beyond.eq(Cat(beyond)),
            rest.eq(Cat(some_dropped.any(), rest)),
            inside.eq(Cat(~some_beyond.any(), inside)),
            negative.eq(Cat(value[-1], negative)),
        ]

        # Cycles 5 and 6: shift by ones.
        fine = Signal(signed(kept + 8), reset_less=True)
        self.fabric.multiply(m, "shift", o=fine, a=coarse, b=self.scale.ones)

        # Cycle 7: round half to even. Cycle 8: move to the zero point.
        half, floor = fine[7], fine[8:].as_signed()
        up, whole = Signal(reset_less=True), Signal.like(floor, reset_less=True)
        moved = Signal(signed(len(floor) + 1), reset_less=True)
        m.d.sync += [
            up.eq(half & (rest[1] | fine[:7].any() | floor[0])),
            whole.eq(floor),
            moved.eq(whole + told["zero_point"] + up),
        ]

        # Cycle 9: clip.
        below = Mux(inside[3], moved[-1], negative[4])
        over = ~inside[3] | moved[8:-1].any() | (moved[:8] > told["out_max"])
        code = Signal(8, reset_less=True)
        m.d.sync += code.eq(Mux(below, 0, Mux(over, told["out_max"], moved[:8])))
        m.d.comb += self.o.eq(code)

        return m
