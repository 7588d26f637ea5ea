"""The checksum of frames and sections: the CRC-32 of zlib."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

__all__ = ["Checksum"]

BYTE = 8


class Checksum(wiring.Component):
    """The CRC-32 of a run of bytes, bit by bit: a serial line is slower still.

    The twin of ``zlib.crc32``. A byte takes `latency` cycles, during which no other is taken.

    Members
    -------
    start : ``In(1)``
        Forget all bytes so far.
    i : ``In(stream.Signature(8))``
        Bytes; ready when `crc` and `matches` take in all before.
    crc : ``Out(32)``
        Of the bytes since `start`.
    matches : ``Out(1)``
        The last four of the bytes are the checksum of those before, lowest byte first.
    """

    latency = 1 + BYTE

    start: In(1)
    i: In(stream.Signature(8))
    crc: Out(32)
    matches: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.register = crc = CRC32_ISO_HDLC(data_width=1).create()
        bits = Signal(BYTE)
        left = Signal(range(BYTE + 1))
        m.d.comb += [
            crc.start.eq(self.start),
            crc.data.eq(bits[0]),
            crc.valid.eq((left != 0) & ~self.start),
            self.i.ready.eq(left == 0),
            self.crc.eq(crc.crc),
            self.matches.eq(crc.match_detected),
        ]
        with m.If(left != 0):
            m.d.sync += [bits.eq(bits >> 1), left.eq(left - 1)]
        with m.Elif(self.i.valid):
            m.d.sync += [bits.eq(self.i.payload), left.eq(BYTE)]
        with m.If(self.start):
            m.d.sync += left.eq(0)

        return m
