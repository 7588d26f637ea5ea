"""Frames: requests gathered and checked, replies given their checksum."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from downshift.hw.checksum import Checksum
from downshift.hw.protocol import CRC_BYTES, MAX_FRAME, QUEUE_FRAMES, LinkError
from downshift.hw.slip import Symbol

__all__ = ["Frame", "FrameReceiver", "FrameTransmitter"]


class Frame(data.Struct):
    """A request that waits to be executed."""

    length: range(MAX_FRAME)
    """Bytes without the checksum; nothing where there is an error."""
    error: LinkError
    """Anything but NONE: the frame must not be executed."""


class FrameReceiver(wiring.Component):
    """Keep frames, once they are complete and their checksum agrees, until they are dealt with.

    A symbol is taken as soon as the checksum takes in the one before, whatever else happens. Those
    of a frame that find no room, because another waits or the queue is full, are lost, and what
    remains of it is refused. Empty frames are passed over.

    Parameters
    ----------
    size : int
        Bytes of the longest frame, checksum included.
    queue : int
        Bytes of frames, one less than a power of two, that may wait, `QUEUE_FRAMES` at most; 0 if
        only one frame may.

    Members
    -------
    i : ``In(stream.Signature(Symbol))``
    o : ``Out(stream.Signature(Frame))``
        The first frame that waits, `latency` cycles after its last symbol; taking it frees its
        bytes.
    read_address, read_data : ``In(range(size))``, ``Out(8)``
        A byte of that frame, a cycle later.
    """

    latency = 1

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, size: int, queue: int = 0):
        self.size = size
        self.queue = queue
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
        m.submodules.memory = memory = Memory(
            shape=8, depth=self.queue + 1 if self.queue else self.size, init=[]
        )
        m.submodules.crc = crc = Checksum()
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += self.read_data.eq(read.data)

        # Gather.
        count = Signal(range(self.size + 1))
        too_long, no_room, judged = Signal(), Signal(), Signal()
        symbol = self.i.p
        arrived = Signal()
        m.d.comb += [
            self.i.ready.eq(crc.i.ready),
            arrived.eq(self.i.valid & self.i.ready),
            write.data.eq(symbol.data),
            crc.i.payload.eq(symbol.data),
            crc.start.eq(judged),
        ]
        with m.If(arrived & ~symbol.end & ~no_room):
            # The checksum is that of the bytes which are kept.
            m.d.comb += crc.i.valid.eq(1)
            with m.If(count == self.size):
                m.d.sync += too_long.eq(1)
            with m.Else():
                m.d.comb += write.en.eq(1)
                m.d.sync += count.eq(count + 1)

        # Judge.
        frame = Signal(Frame)
        m.d.comb += [
            judged.eq(arrived & symbol.end),
            frame.length.eq(count - CRC_BYTES),
        ]
        with m.If(too_long):
            m.d.comb += frame.error.eq(LinkError.TOO_LONG)
        with m.Elif((count <= CRC_BYTES) | ~crc.matches):
            m.d.comb += frame.error.eq(LinkError.BAD_FRAME)
        with m.If(judged):
            m.d.sync += [count.eq(0), too_long.eq(0)]

        # Keep: where the bytes lie, and whether there is room for another one.
        came = judged & (count != 0)
        if not self.queue:
            m.d.comb += [
                write.addr.eq(count),
                read.addr.eq(self.read_address),
                no_room.eq(self.o.valid),
            ]
            with m.If(self.o.valid & self.o.ready):
                m.d.sync += self.o.valid.eq(0)
            with m.If(came):
                m.d.sync += [self.o.valid.eq(1), self.o.p.eq(frame)]
            return m

        m.submodules.frames = frames = SyncFIFO(width=Frame.as_shape().size, depth=QUEUE_FRAMES)
        first, after = Signal(range(self.queue + 1)), Signal(range(self.queue + 1))
        m.d.comb += [
            write.addr.eq(after + count),
            read.addr.eq(first + self.read_address),
            frames.w_data.eq(frame),
            frames.w_en.eq(came),
            self.o.p.eq(frames.r_data),
            self.o.valid.eq(frames.r_rdy),
            frames.r_en.eq(self.o.ready),
        ]
        m.d.sync += no_room.eq(count == (first - after - 1)[: len(first)])
        with m.If(came & frames.w_rdy & (frame.error == LinkError.NONE)):
            m.d.sync += after.eq(after + count)
        with m.If(self.o.valid & self.o.ready & (self.o.p.error == LinkError.NONE)):
            m.d.sync += first.eq(first + self.o.p.length + CRC_BYTES)
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
