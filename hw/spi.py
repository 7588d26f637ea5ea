"""A peripheral on a serial peripheral interface (SPI): mode 0, highest bit first."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.protocol import END

__all__ = ["SpiPeripheral"]


class SpiPeripheral(wiring.Component):
    """Exchange a byte for a byte; where there is none to send, send END.

    The controller reads by writing END, which delimits frames and means nothing between them. Bits
    are sampled at the rising edge of the clock and change after the falling one; a byte that is
    under way when the peripheral is deselected is dropped.

    The lines are seen two cycles late by whatever synchronizes them, and an edge takes another: a
    period of the clock of at least 8 cycles leaves half of them for the answer.

    Members
    -------
    sck, csn, copi : ``In(1)``
        The lines, synchronous to the clock.
    cipo : ``Out(1)``
        To be driven while `csn` is low.
    o : ``Out(stream.Signature(8))``
        Bytes received; one that is not taken before the next comes is lost.
    i : ``In(stream.Signature(8))``
        Bytes to send; one is taken when the one before has gone.
    """

    sck: In(1)
    csn: In(1, init=1)
    copi: In(1)
    cipo: Out(1)
    o: Out(stream.Signature(8))
    i: In(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        before = Signal()
        m.d.sync += before.eq(self.sck)
        selected = ~self.csn
        rising, falling = self.sck & ~before & selected, ~self.sck & before & selected

        # The byte that goes out, or is the next to; until its first bit, END gives way to a byte.
        out, is_byte = Signal(8, init=END), Signal()
        left = Signal(range(9), init=8)  # bits that have not been sampled
        load = Signal()
        m.d.comb += [
            load.eq((falling & (left == 0)) | (self.csn & ((left != 8) | ~is_byte))),
            self.i.ready.eq(load),
            self.cipo.eq(out[-1]),
        ]
        with m.If(load):
            m.d.sync += [out.eq(END), is_byte.eq(self.i.valid), left.eq(8)]
            with m.If(self.i.valid):
                m.d.sync += out.eq(self.i.payload)
        with m.Elif(falling & (left != 8)):
            m.d.sync += out.eq(out << 1)
        with m.Elif(rising):
            m.d.sync += left.eq(left - 1)

        # The byte that comes in.
        come = Signal(8)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(rising):
            m.d.sync += come.eq(Cat(self.copi, come))
            with m.If(left == 1):
                m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(Cat(self.copi, come))]

        return m
