"""SLIP framing (RFC 1055): frames of bytes on a byte stream, delimited without ambiguity."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.protocol import END, ESC, ESC_END, ESC_ESC

__all__ = ["SlipDecoder", "SlipEncoder", "Symbol", "slip_decode", "slip_encode"]


class Symbol(data.Struct):
    """A byte of a frame, or its end."""

    data: 8
    end: 1
    """No byte, but the end of the frame."""


def slip_encode(symbols):
    """Spell out symbols as bytes: the golden function of `SlipEncoder`.

    Parameters
    ----------
    symbols : iterable of (int, bool)
        Byte and end.

    Returns
    -------
    list of int
        A frame ends with END; bytes that look like END or ESC are escaped.

    Examples
    --------
    >>> slip_encode([(1, False), (0xC0, False), (0, True)])
    [1, 219, 220, 192]
    """
    escapes = {END: [ESC, ESC_END], ESC: [ESC, ESC_ESC]}
    return [
        byte for value, end in symbols for byte in ([END] if end else escapes.get(value, [value]))
    ]


def slip_decode(values):
    """Read bytes as symbols: the golden function of `SlipDecoder`.

    Parameters
    ----------
    values : iterable of int

    Returns
    -------
    list of (int, bool)
        Byte and end; every END byte ends a frame, be it empty.

    Examples
    --------
    >>> slip_decode([192, 1, 219, 220, 192])
    [(0, True), (1, False), (192, False), (0, True)]
    """
    symbols = []
    escaped = False
    for value in values:
        if value == END:
            symbols.append((0, True))
        elif value != ESC or escaped:
            meant = {ESC_END: END, ESC_ESC: ESC}.get(value, value) if escaped else value
            symbols.append((meant, False))
        escaped = value == ESC and not escaped
    return symbols


class SlipDecoder(wiring.Component):
    """`slip_decode`, byte by byte, without a register in the way.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes.
    o : ``Out(stream.Signature(Symbol))``
        Symbols.
    """

    latency = 0

    i: In(stream.Signature(8))
    o: Out(stream.Signature(Symbol))

    def elaborate(self, platform):
        m = Module()
        byte = self.i.payload
        escaped = Signal()
        escape = Signal()
        m.d.comb += escape.eq((byte == ESC) & ~escaped)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += escaped.eq(escape)

        m.d.comb += [
            self.o.p.data.eq(byte),
            self.o.valid.eq(self.i.valid & ~escape),
            self.i.ready.eq(escape | self.o.ready),
        ]
        with m.If(byte == END):
            m.d.comb += [self.o.p.data.eq(0), self.o.p.end.eq(1)]
        with m.Elif(escaped):
            m.d.comb += self.o.p.data.eq(Mux(byte == ESC_END, END, Mux(byte == ESC_ESC, ESC, byte)))

        return m


class SlipEncoder(wiring.Component):
    """`slip_encode`, byte by byte, without a register in the way.

    Members
    -------
    i : ``In(stream.Signature(Symbol))``
        Symbols.
    o : ``Out(stream.Signature(8))``
        Bytes.
    """

    latency = 0

    i: In(stream.Signature(Symbol))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        special = Signal()
        escaping = Signal()  # ESC is out, its partner follows
        m.d.comb += [
            special.eq(~self.i.p.end & ((self.i.p.data == END) | (self.i.p.data == ESC))),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & (~special | escaping)),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += escaping.eq(special & ~escaping)

        m.d.comb += self.o.payload.eq(self.i.p.data)
        with m.If(self.i.p.end):
            m.d.comb += self.o.payload.eq(END)
        with m.Elif(escaping):
            m.d.comb += self.o.payload.eq(Mux(self.i.p.data == END, ESC_END, ESC_ESC))
        with m.Elif(special):
            m.d.comb += self.o.payload.eq(ESC)

        return m
