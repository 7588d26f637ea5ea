"""Frames: requests gathered and checked, replies given their checksum."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from downshift.hw.checksum import Checksum
from downshift.hw.protocol import CRC_BYTES, LinkError
from downshift.hw.slip import Symbol

__all__ = ["Frame", "FrameReceiver", "FrameTransmitter"]


class Frame(data.Struct):
    """A request that waits to be executed."""

    length: 16
    """Bytes without the checksum."""
    error: LinkError
    """Anything but NONE: the frame must not be executed."""


class FrameReceiver(wiring.Component):
    """Keep a frame, once it is complete and its checksum agrees, until it is dealt with.

    A symbol is taken as soon as the checksum takes in the one before, whatever else happens; those
    of a frame that arrives while another waits are lost, and what remains of it is refused. Empty
    frames are passed over.

    Parameters
    ----------
    size : int
        Bytes of the longest frame, checksum included.

    Members
    -------
    i : ``In(stream.Signature(Symbol))``
    o : ``Out(stream.Signature(Frame))``
        A frame waits, `latency` cycles after its last symbol; taking it frees the buffer.
    read_address, read_data : ``In(range(size))``, ``Out(8)``
        A byte of the frame that waits, a cycle later.
    """

    latency = 1

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, size: int):
        self.size = size
        super().__init__(
            {
                "i": In(stream.Signature(Symbol)),
                "o": Out(stream.Signature(Frame)),
                "read_address": In(range(size)),
                "read_data": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=self.size, init=[])
        m.submodules.crc = crc = Checksum()
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [read.addr.eq(self.read_address), self.read_data.eq(read.data)]

        # Gather.
        count = Signal(range(self.size + 1))
        too_long = Signal()
        symbol = self.i.p
        arrived = Signal()
        m.d.comb += [
            self.i.ready.eq(crc.i.ready),
            arrived.eq(self.i.valid & self.i.ready & ~self.o.valid),
            write.addr.eq(count),
            write.data.eq(symbol.data),
            crc.i.payload.eq(symbol.data),
            crc.start.eq((arrived & symbol.end) | self.o.valid),
        ]
        with m.If(arrived & ~symbol.end):
            m.d.comb += crc.i.valid.eq(1)
            with m.If(count == self.size):
                m.d.sync += too_long.eq(1)
            with m.Else():
                m.d.comb += write.en.eq(1)
                m.d.sync += count.eq(count + 1)

        # Judge.
        with m.If(arrived & symbol.end):
            m.d.sync += [
                count.eq(0),
                too_long.eq(0),
                self.o.valid.eq(count != 0),
                self.o.p.length.eq(count - CRC_BYTES),
                self.o.p.error.eq(LinkError.NONE),
            ]
            with m.If(too_long):
                m.d.sync += self.o.p.error.eq(LinkError.TOO_LONG)
            with m.Elif((count <= CRC_BYTES) | ~crc.matches):
                m.d.sync += self.o.p.error.eq(LinkError.BAD_FRAME)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        return m


class FrameTransmitter(wiring.Component):
    """Open a frame with an end symbol, and close it with the checksum and another one.

    Members
    -------
    i : ``In(stream.Signature(Symbol))``
        Bytes of a reply, and its end.
    o : ``Out(stream.Signature(Symbol))``
        The same with what belongs to a frame; no register in the way, but a byte waits until the
        checksum takes in the one before.
    """

    latency = 0

    i: In(stream.Signature(Symbol))
    o: Out(stream.Signature(Symbol))

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = Checksum()
        at = Signal(range(CRC_BYTES + 1))
        m.d.comb += crc.i.payload.eq(self.i.p.data)

        with m.FSM():
            with m.State("Open"):
                m.d.comb += [self.o.valid.eq(self.i.valid), self.o.p.end.eq(1), crc.start.eq(1)]
                with m.If(self.o.valid & self.o.ready):
                    m.next = "Content"

            with m.State("Content"):
                m.d.comb += self.o.p.data.eq(self.i.p.data)
                with m.If(self.i.valid & crc.i.ready & self.i.p.end):
                    m.next = "Checksum"
                with m.Elif(crc.i.ready):
                    m.d.comb += [
                        self.o.valid.eq(self.i.valid),
                        self.i.ready.eq(self.o.ready),
                        crc.i.valid.eq(self.i.valid & self.o.ready),
                    ]

            with m.State("Checksum"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(crc.crc.word_select(at[:2], 8)),
                ]
                with m.If(at == CRC_BYTES):
                    m.d.comb += [self.o.p.data.eq(0), self.o.p.end.eq(1)]
                with m.If(self.o.ready):
                    m.d.sync += at.eq(at + 1)
                    with m.If(at == CRC_BYTES):
                        m.d.sync += at.eq(0)
                        m.d.comb += self.i.ready.eq(1)
                        m.next = "Open"

        return m
