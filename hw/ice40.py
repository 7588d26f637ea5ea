"""The primitives of iCE40 UltraPlus: two small products in each hard multiplier, instantiated."""

from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, signed

from downshift.hw.fabric import Dot, Fabric, add_levels

__all__ = ["Ice40Fabric"]

HALF = 16
"""Bits of each half of what goes into an SB_MAC16, and of what comes out of it."""
SIDES = ("TOP", "BOT")
ADDED = {
    f"{side}{name}": value
    for side in SIDES
    for name, value in (("OUTPUT_SELECT", 1), ("ADDSUB_UPPERINPUT", 1))
}
"""The sum of a product and of what comes at C and D has a register."""
TWO_PRODUCTS = ADDED | {
    "MODE_8x8": 1,
    "A_SIGNED": 1,
    "A_REG": 1,
    "B_REG": 1,
    "BOT_8x8_MULT_REG": 1,
    **{f"{side}ADDSUB_LOWERINPUT": 1 for side in SIDES},
}
"""That below is a cycle later than that above, whose sum it may join."""
ONE_PRODUCT = ADDED | {
    "A_SIGNED": 1,
    "A_REG": 1,
    "B_REG": 1,
    **{f"{side}ADDSUB_LOWERINPUT": 2 for side in SIDES},
    "TOPADDSUB_CARRYSELECT": 2,
}
WIDE = ("SELECT", "LOWERINPUT")
"""What settings of two bits end with."""
CONTROLS = (
    "AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "OLOADTOP",
    "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CI", "ACCUMCI", "SIGNEXTIN",
)  # fmt: skip


def _multiplier(settings, *, enable, o, **inputs) -> Instance:
    """Instantiate an SB_MAC16; what is not named is 0."""
    parameters = {
        f"p_{name}": Const(value, 2 if name.endswith(WIDE) else 1)
        for name, value in settings.items()
    }
    inputs = dict.fromkeys(CONTROLS, Const(0, 1)) | inputs
    return Instance(
        "SB_MAC16",
        **parameters,
        i_CLK=ClockSignal(),
        i_CE=enable,
        **{f"i_{name}": value for name, value in inputs.items()},
        o_O=o,
    )


class Ice40Fabric(Fabric):
    """Small products of iCE40, by twos in a hard multiplier, the last of them in look-up tables.

    Yosys gives each product a multiplier of its own.
    """

    hard_pairs = 7
    """Of the eight multipliers, one is left for what rescales sums."""

    def add_dots(self, m: Module, name: str, dots: list[Dot], *, enable: Value):
        """See `Fabric.add_dots`."""
        if any(dot.width > HALF for dot in dots):
            super().add_dots(m, name, dots, enable=enable)
            return
        hard = 0
        for index, dot in enumerate(dots):
            sums = []
            for first in range(0, len(dot.terms), 2):
                pair, label = dot.terms[first : first + 2], f"{name}_{index}_{first}"
                total = Signal(signed(HALF + 1), name=label)
                c = Const(0, 1) if first else dot.c
                add = _add_pair if hard < self.hard_pairs else _add_soft_pair
                add(m, label, total, pair, c, enable=enable)
                hard += 1
                sums.append(total)
            m.d.comb += dot.o.eq(add_levels(m, f"{name}_{index}", sums, enable=enable))

    def multiply_add(self, m, name, o, *, a, b, c, enable):
        """See `Fabric.multiply_add`."""
        m.submodules[name] = _multiplier(
            ONE_PRODUCT,
            enable=enable,
            A=a,
            B=b,
            C=Const(0, HALF),
            D=c,
            o=o,
        )


def _extended(value: Value) -> Value:
    """All bits of an operand, its sign repeated."""
    wide = Value.cast(value)
    assert len(wide) <= HALF
    sign = wide[-1] if wide.shape().signed else Const(0, 1)
    return Cat(wide, sign.replicate(HALF - len(wide)))


def _add_pair(m: Module, name: str, o: Signal, terms, c: Value, *, enable: Value) -> None:
    """Two products and their sum in a hard multiplier.

    Its adders have 16 bits, and the sum one more: where both summands have one sign, it is that.
    """
    (above_a, above_b), (below_a, below_b) = terms
    sums = Signal(2 * HALF, name=f"{name}_sums")
    above, total = sums[HALF:], sums[:HALF]
    m.submodules[name] = _multiplier(
        TWO_PRODUCTS,
        enable=enable,
        A=Cat(below_a, above_a),
        B=Cat(below_b, above_b),
        C=_extended(c),
        D=above,
        o=sums,
    )
    below_negative = [Signal(name=f"{name}_negative_{k}", reset_less=True) for k in range(2)]
    alike, negative = (Signal(name=f"{name}_{kind}", reset_less=True) for kind in ("alike", "sign"))
    with m.If(enable):
        m.d.sync += [
            Cat(below_negative).eq(Cat(below_a[-1] & below_b.any(), below_negative)),
            alike.eq(above[-1] == below_negative[1]),
            negative.eq(above[-1]),
        ]
    m.d.comb += o.eq(Cat(total, Mux(alike, negative, total[-1])).as_signed())


def _add_soft_pair(m: Module, name: str, o: Signal, terms, c: Value, *, enable: Value) -> None:
    """Two products in look-up tables, and their sum."""
    products = [
        _multiply(m, f"{name}_{k}", a, b, Const(0, 1) if k else c, enable=enable)
        for k, (a, b) in enumerate(terms)
    ]
    with m.If(enable):
        m.d.sync += o.eq(products[0] + products[1])


def _multiply(m: Module, name: str, a: Value, b: Value, c: Value, *, enable: Value) -> Signal:
    """``a * b + c`` in look-up tables: half of the factor, a cycle later both, and `c`.

    What is added up is chosen behind each adder, which takes no look-up tables of its own.
    """
    halves = []
    for half in range(2):
        bits = b.word_select(half, 4)
        so_far: Value = Mux(bits[0], a, 0)
        for k in range(1, 4):
            above = so_far[k:].as_signed()  # those below are final
            total = Signal(signed(9), name=f"{name}_{half}_{k}")
            m.d.comb += total.eq(Mux(bits[k], above + a, above))
            so_far = Cat(so_far[:k], total)
        product = Signal(signed(12), name=f"{name}_{half}", reset_less=True)
        with m.If(enable):
            m.d.sync += product.eq(so_far.as_signed())
        halves.append(product)
    o = Signal(signed(HALF), name=f"{name}_product", reset_less=True)
    with m.If(enable):
        m.d.sync += o.eq(halves[0] + (halves[1] << 4) + c)
    return o
