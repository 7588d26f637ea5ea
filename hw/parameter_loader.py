"""The parameter loader: bias and scale of every row, tile by tile of output channels."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.rescale import Scale, scale_fields
from downshift.hw.store import read_port

__all__ = ["PARAMETER_BYTES", "ParameterLayer", "ParameterLoader", "RowParameters", "stored_row"]

PARAMETER_BYTES = 8
"""Bytes of one output channel in the parameter store."""


class RowParameters(data.Struct):
    """What becomes of the sums of one output channel."""

    bias: signed(32)
    scale: Scale
    reserved: 6


class ParameterLayer(data.Struct):
    """What the loader is told about a pass."""

    base: 16  # word of the parameter store
    last_tile: 8  # tiles of output channels, less one


def stored_row(*, bias, multiplier, shift):
    """Eight bytes of the parameter store.

    Parameters
    ----------
    bias : int
        What sums start from.
    multiplier, shift : int
        Scale, as for `scale_fields`.
    """
    scale = Scale.const(scale_fields(multiplier, shift)).as_bits()
    return (scale << 32 | int(bias) & 0xFFFFFFFF).to_bytes(PARAMETER_BYTES, "little")


class ParameterLoader(wiring.Component):
    """Hold the parameters of a tile of rows, while those of the next one are read.

    The first ones hold ``rows + 3`` cycles after `start`; the next ones, as many cycles later, in
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
    read : ``Out(read_port(depth, ...))``
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
                "read": Out(read_port(depth, data.ArrayLayout(8, PARAMETER_BYTES))),
                "o": Out(data.ArrayLayout(RowParameters, rows)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        address = Signal(range(self.depth))
        left = Signal(range(self.rows + 1))
        coming, wanted, turn = Signal(), Signal(), Signal()

        # Read a tile ahead.
        m.d.comb += [
            self.read.address.eq(address),
            self.read.enable.eq(left != 0),
            turn.eq(wanted & (left == 0) & ~coming),
        ]
        m.d.sync += coming.eq(self.read.enable)
        with m.If(self.read.enable):
            m.d.sync += [left.eq(left - 1), address.eq(address + 1)]
        ahead = Signal.like(self.o, reset_less=True)
        with m.If(coming):
            m.d.sync += [
                *(ahead[row].eq(ahead[row + 1]) for row in range(self.rows - 1)),
                ahead[-1].eq(self.read.data.as_value()),
            ]

        # Take over.
        with m.If(turn):
            m.d.sync += [self.o.eq(ahead), wanted.eq(0), left.eq(self.rows)]
        with m.If(self.following):
            m.d.sync += wanted.eq(1)
        with m.If(self.start):
            m.d.sync += [address.eq(self.layer.base), left.eq(self.rows), wanted.eq(1)]

        return m
