"""The parameter loader: bias and scale of every row, tile by tile of output channels."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import ram_port
from downshift.hw.region import PARAMETER_BYTES
from downshift.hw.rescale import SHIFTS, Scale

__all__ = [
    "BIAS_WIDTH",
    "ParameterLayer",
    "ParameterLoader",
    "RowParameters",
    "stored_row",
]

BIAS_WIDTH = 28


class RowParameters(data.Struct):
    """What becomes of the sums of one output channel."""

    bias: signed(BIAS_WIDTH)
    scale: Scale
    residual: 16
    """What a code of the residual counts."""


class StoredParameters(data.Struct):
    """Parameters of one output channel as they lie in the store."""

    bias: signed(BIAS_WIDTH)
    multiplier: 15  # without its highest bit, which is set
    eights: 2  # of the shift less the least
    ones: 3
    residual: 16


class ParameterLayer(data.Struct):
    """What the loader is told about a pass."""

    base: 16  # word of the parameter store


def stored_row(*, bias, multiplier, shift, residual=0):
    """Eight bytes of the parameter store.

    Parameters
    ----------
    bias : int
        What sums start from; 28 bits of it count.
    multiplier, shift : int
        Scale; 32768…65535, in `SHIFTS`. Neither counts where there are no codes to make.
    residual : int
        What a code of the residual counts, 16 bits.
    """
    eights, ones = divmod(int(shift) - SHIFTS.start, 8)
    fields = {
        "bias": int(bias) & (1 << BIAS_WIDTH) - 1,
        "multiplier": int(multiplier) & 0x7FFF,
        "eights": eights & 3,
        "ones": ones,
        "residual": int(residual),
    }
    return StoredParameters.const(fields).as_bits().to_bytes(PARAMETER_BYTES, "little")


class ParameterLoader(wiring.Component):
    """Hold the parameters of a tile of rows, while those of the next one are read.

    The first ones hold ``rows + 4`` cycles after `start`; the next ones, as many cycles later, in
    the cycle after `following`.

    Parameters
    ----------
    rows : int
    depth : int
        Words of the parameter store: one an output channel, tile by tile.

    Members
    -------
    layer : ``In(ParameterLayer)``
    start : ``In(1)``
        Begin a pass; not during one.
    following : ``In(1)``
        Go on to the next tile.
    turn : ``Out(1)``
        The next ones hold from the next cycle on.
    read : ``Out(ram_port(depth, ...))``
    o : ``Out(ArrayLayout(RowParameters, rows))``
    """

    def __init__(self, *, rows: int, depth: int):
        self.rows = rows
        self.depth = depth
        super().__init__(
            {
                "layer": In(ParameterLayer),
                "start": In(1),
                "following": In(1),
                "turn": Out(1),
                "read": Out(ram_port(depth, data.ArrayLayout(8, PARAMETER_BYTES))),
                "o": Out(data.ArrayLayout(RowParameters, rows)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        address = Signal(range(self.depth))
        left = Signal(range(self.rows + 1))
        coming, wanted = Signal(2), Signal()

        # Read a tile ahead.
        m.d.comb += [
            self.read.address.eq(address),
            self.read.enable.eq(left != 0),
            self.turn.eq(wanted & (left == 0) & ~coming.any()),
        ]
        m.d.sync += coming.eq(Cat(self.read.enable, coming))
        with m.If(self.read.enable):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1)]
        ahead = Signal.like(self.o, reset_less=True)
        stored = data.View(StoredParameters, self.read.data.as_value())
        with m.If(coming[-1]):
            m.d.sync += [
                *(ahead[row].eq(ahead[row + 1]) for row in range(self.rows - 1)),
                ahead[-1].bias.eq(stored.bias),
                ahead[-1].scale.multiplier.eq(Cat(stored.multiplier, 1)),
                ahead[-1].scale.eights.eq(stored.eights),
                ahead[-1].scale.ones.eq(1 << ~stored.ones),
                ahead[-1].residual.eq(stored.residual),
            ]

        # Take over.
        with m.If(self.turn):
            m.d.sync += [self.o.eq(ahead), wanted.eq(0), left.eq(self.rows)]
        with m.If(self.following):
            m.d.sync += wanted.eq(1)
        with m.If(self.start):
            m.d.sync += [address.eq(self.layer.base), left.eq(self.rows), wanted.eq(1)]

        return m
