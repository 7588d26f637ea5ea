"""The section reader: what lies in the stores, byte by byte, as the link wrote it."""

from collections.abc import Mapping

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.fabric import ram_port
from downshift.hw.region import Region

__all__ = ["SectionPort", "SectionReader", "add_section_reader"]

SectionPort = wiring.Signature({"enable": Out(1), "start": Out(1), "next": Out(1), "data": In(8)})
"""The stores are read; begin with the first byte of a section; go on to the next one; the byte, a
while later."""
WORD = 4
"""Bytes that are selected together."""


class SectionReader(wiring.Component):
    """Give the bytes of a section in order.

    A byte comes two cycles after the store gives its word.

    Parameters
    ----------
    stores : mapping of Region to tuple of int
        Bytes of a word, and words, of each store.

    Members
    -------
    region : ``In(Region)``
        The section; settled before `bytes` begins.
    bytes : ``In(SectionPort)``
    program, weights, parameters : ``Out(ram_port(words, ArrayLayout(8, word_bytes)))``
        The stores.
    """

    def __init__(self, *, stores: Mapping[Region, tuple[int, int]]):
        self.stores = stores
        ports = {
            region.name.lower(): Out(ram_port(depth, data.ArrayLayout(8, word_bytes)))
            for region, (word_bytes, depth) in stores.items()
        }
        super().__init__({"region": In(Region), "bytes": In(SectionPort), **ports})

    def elaborate(self, platform):
        m = Module()
        word = Signal(range(max(depth for _, depth in self.stores.values())))
        byte = Signal(range(max(word_bytes for word_bytes, _ in self.stores.values())))
        last = Signal.like(byte)
        with m.If(self.bytes.start):
            m.d.sync += [word.eq(0), byte.eq(0)]
        with m.Elif(self.bytes.next):
            m.d.sync += byte.eq(byte + 1)
            with m.If(byte == last):
                m.d.sync += [word.eq(word + 1), byte.eq(0)]

        some = Signal(8 * WORD)
        with m.Switch(self.region):
            for region, (word_bytes, _) in self.stores.items():
                port = getattr(self, region.name.lower())
                m.d.comb += [port.address.eq(word), port.enable.eq(1)]
                with m.Case(region):
                    m.d.sync += [
                        last.eq(word_bytes - 1),
                        some.eq(port.data.as_value().word_select(byte[2:], 8 * WORD)),
                    ]
        m.d.sync += self.bytes.data.eq(some.word_select(byte[:2], 8))
        return m


def add_section_reader(m, stores, *, region, section):
    """Let the link read stores while no frame runs.

    Parameters
    ----------
    m : Module
        Gains a `SectionReader`, which drives the read ports of the stores while
        it is enabled.
    stores : mapping of Region to component
        Each with `word_bytes`, `depth` and a port ``read``.
    region, section : Value, SectionPort
        As of `SectionReader`.
    """
    reader = SectionReader(
        stores={place: (store.word_bytes, store.depth) for place, store in stores.items()}
    )
    m.submodules.section_reader = reader
    m.d.comb += [
        reader.region.eq(region),
        reader.bytes.start.eq(section.start),
        reader.bytes.next.eq(section.next),
        section.data.eq(reader.bytes.data),
    ]
    for place, store in stores.items():
        port = getattr(reader, place.name.lower())
        m.d.comb += port.data.eq(store.read.data)
        with m.If(section.enable):
            m.d.comb += [
                store.read.address.eq(port.address),
                store.read.enable.eq(port.enable),
            ]
