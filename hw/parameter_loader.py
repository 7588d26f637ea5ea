"""The parameter loader: bias and scale of every row, tile by tile of output channels."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.block_ram import BlockRam
from downshift.hw.fabric import ram_port
from downshift.hw.generate import shared
from downshift.hw.rescale import scale_layout, shifts
from downshift.hw.table import row_order

__all__ = [
    "BIAS_WIDTH",
    "ParameterLayer",
    "ParameterLoader",
    "parameter_bytes",
    "row_layout",
    "stored_row",
    "stored_rows",
]

BIAS_WIDTH = 28


def row_layout(multiplier_width):
    """Layout of what becomes of the sums of one output channel.

    A code of the residual counts `residual`.
    """
    return data.StructLayout(
        {"bias": signed(BIAS_WIDTH), "scale": scale_layout(multiplier_width), "residual": 16}
    )


def stored_layout(multiplier_width):
    """Layout of the parameters of one output channel as they lie in the store.

    The multiplier has lost its highest bit, which is set; `eights` and `ones` are those of the
    shift less the least.
    """
    return data.StructLayout(
        {
            "bias": signed(BIAS_WIDTH),
            "multiplier": multiplier_width - 1,
            "eights": 2,
            "ones": 3,
            "residual": 16,
        }
    )


def parameter_bytes(multiplier_width):
    """Bytes of one output channel in the store.

    Examples
    --------
    >>> parameter_bytes(16), parameter_bytes(24)
    (8, 9)
    """
    return stored_layout(multiplier_width).size // 8


class ParameterLayer(data.Struct):
    """What the loader is told about a pass."""

    base: 16  # word of the parameter store


def stored_row(*, bias, multiplier, shift, residual=0, multiplier_width=16):
    """Bytes of an output channel in the parameter store.

    Parameters
    ----------
    bias : int
        What sums start from; 28 bits of it count.
    multiplier, shift : int
        Scale; its highest bit set, in `shifts`. Neither counts where there are no codes to make.
    residual : int
        What a code of the residual counts, 16 bits.
    multiplier_width : int
        Bits of a multiplier.
    """
    eights, ones = divmod(int(shift) - shifts(multiplier_width).start, 8)
    fields = {
        "bias": int(bias) & (1 << BIAS_WIDTH) - 1,
        "multiplier": int(multiplier) & (1 << multiplier_width - 1) - 1,
        "eights": eights & 3,
        "ones": ones,
        "residual": int(residual),
    }
    word = stored_layout(multiplier_width).const(fields).as_bits()
    return word.to_bytes(parameter_bytes(multiplier_width), "little")


def stored_rows(rows, *, tile):
    """Order parameters as `ParameterLoader` reads them.

    Parameters
    ----------
    rows : sequence
        One item an output channel.
    tile : int
        Output channels of a tile; divides their number.
    """
    return [rows[first + row] for first in range(0, len(rows), tile) for row in row_order(tile)]


class ParameterLoader(wiring.Component):
    """Hold the parameters of a tile of rows, while those of the next one are read.

    The first ones hold ``rows + 5`` cycles after `start`; the next ones, ``rows + 1`` cycles later,
    `latency` cycles after `following`.

    Parameters
    ----------
    rows : int
    depth : int
        Words of the parameter store: one an output channel, as of `stored_rows`.
    multiplier_width : int
        Bits of a multiplier, 16 or 24.

    Members
    -------
    layer : ``In(ParameterLayer)``
    start : ``In(1)``
        Begin a pass; not during one.
    following : ``In(1)``
        Go on to the next tile.
    turn : ``Out(1)``
        The next ones hold in two cycles.
    read : ``Out(ram_port(depth, ...))``
    o : ``Out(ArrayLayout(row_layout(multiplier_width), rows))``
    """

    latency = BlockRam.latency + 3

    def __init__(self, *, rows: int, depth: int, multiplier_width: int = 16):
        self.rows = rows
        self.depth = depth
        self.multiplier_width = multiplier_width
        self.row = row_layout(multiplier_width)
        word = data.ArrayLayout(8, parameter_bytes(multiplier_width))
        super().__init__(
            {
                "layer": In(ParameterLayer),
                "start": In(1),
                "following": In(1),
                "turn": Out(1),
                "read": Out(ram_port(depth, word)),
                "o": Out(data.ArrayLayout(self.row, rows)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        address = Signal(range(self.depth))
        left = Signal(range(self.rows + 1))
        wanted, turning = Signal(), Signal()

        # Read a tile ahead. Those ahead are complete when the first of the next ones comes.
        coming = Signal(BlockRam.latency)
        going = Signal(BlockRam.latency)
        m.d.comb += [
            self.read.address.eq(address),
            self.read.enable.eq(left != 0),
            turning.eq(wanted & (left == 0)),
            self.turn.eq(going[-1]),
        ]
        m.d.sync += [coming.eq(Cat(self.read.enable, coming)), going.eq(Cat(turning, going))]
        with m.If(self.read.enable):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1)]
        stored = data.View(stored_layout(self.multiplier_width), self.read.data.as_value())
        word = Signal(self.row, reset_less=True)
        m.d.sync += [
            word.bias.eq(stored.bias),
            word.scale.multiplier.eq(Cat(stored.multiplier, 1)),
            word.scale.eights.eq(stored.eights),
            word.scale.ones.eq(1 << ~stored.ones),
            word.residual.eq(stored.residual),
        ]
        for row in reversed(row_order(self.rows)):
            held = _HeldRow(row=self.row)
            m.submodules[f"row_{row}"] = shared(held, platform)
            m.d.comb += [
                held.shift.eq(coming[-1]),
                held.turn.eq(self.turn),
                held.i.eq(word),
                self.o[row].eq(held.o),
            ]
            word = held.ahead

        # Take over.
        with m.If(turning):
            m.d.sync += [wanted.eq(0), left.eq(self.rows)]
        with m.If(self.following):
            m.d.sync += wanted.eq(1)
        with m.If(self.start):
            m.d.sync += [address.eq(self.layer.base), left.eq(self.rows), wanted.eq(1)]

        return m


class _HeldRow(wiring.Component):
    """Parameters of a row, and those that follow; what enables them has registers of its own."""

    def __init__(self, *, row: data.StructLayout):
        self.row = row
        super().__init__(
            {"shift": In(1), "turn": In(1), "i": In(row), "ahead": Out(row), "o": Out(row)}
        )

    def elaborate(self, platform):
        m = Module()
        shift, turn = Signal(), Signal()
        ahead, held = (Signal(self.row, name=n, reset_less=True) for n in ("next", "held"))
        m.d.sync += [shift.eq(self.shift), turn.eq(self.turn)]
        with m.If(shift):
            m.d.sync += ahead.eq(self.i)
        with m.If(turn):
            m.d.sync += held.eq(ahead)
        m.d.comb += [self.ahead.eq(ahead), self.o.eq(held)]
        return m
