"""The checksum of frames and sections: the CRC-32 of zlib."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

__all__ = ["Checksum"]

BYTE = 8


class Checksum(wiring.Component):
    """The CRC-32 of a run of bytes, the twin of ``zlib.crc32``.

    Bit by bit, a byte takes `latency` cycles, during which no other is taken: a serial line is
    slower still. Eight bits a cycle, one is taken every cycle.

    Parameters
    ----------
    bits : int
        A cycle: 1 or 8.

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

    start: In(1)
    i: In(stream.Signature(8))
    crc: Out(32)
    matches: Out(1)

    def __init__(self, *, bits: int = 1):
        if bits not in (1, BYTE):
            raise ValueError(f"Bits must be 1 or {BYTE}, not {bits!r}")
        self.bits = bits
        super().__init__()

    @property
    def latency(self) -> int:
        """Cycles until `crc` takes in a byte."""
        return 1 if self.bits == BYTE else 1 + BYTE

    def elaborate(self, platform):
        m = Module()
        m.submodules.register = crc = CRC32_ISO_HDLC(data_width=self.bits).create()
        m.d.comb += [
            crc.start.eq(self.start),
            self.crc.eq(crc.crc),
            self.matches.eq(crc.match_detected),
        ]
        if self.bits == BYTE:
            m.d.comb += [
                crc.data.eq(self.i.payload),
                crc.valid.eq(self.i.valid & ~self.start),
                self.i.ready.eq(1),
            ]
            return m

        bits = Signal(BYTE)
        left = Signal(range(BYTE + 1))
        m.d.comb += [
            crc.data.eq(bits[0]),
            crc.valid.eq((left != 0) & ~self.start),
            self.i.ready.eq(left == 0),
        ]
        with m.If(left != 0):
            m.d.sync += [bits.eq(bits >> 1), left.eq(left - 1)]
        with m.Elif(self.i.valid):
            m.d.sync += [bits.eq(self.i.payload), left.eq(BYTE)]
        with m.If(self.start):
            m.d.sync += left.eq(0)

        return m
