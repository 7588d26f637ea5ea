"""The code writer: codes and logits packed into bytes at their place in activation memory."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from downshift.hw.descriptor import LayerDescriptor

__all__ = ["CodeWriter"]

LOGIT_BYTES = 4


class CodeWriter(wiring.Component):
    """Write beats of codes where the next layer reads them.

    The twin of `packing.pack_codes`, tile by tile of output channels. Always ready: a beat is
    written, or kept until its byte is full, in the cycle it arrives.

    Parameters
    ----------
    channels : int
        Codes of a beat; a power of two, at most `lanes`.
    groups : int
        Beats of a pixel in one tile.
    lanes : int
        Banks of the activation memory, at least 4.
    depth : int
        Bytes of the activation memory.
    pixels : int
        Most pixels of a pass.

    Members
    -------
    layer : ``In(LayerDescriptor)``
    start : ``In(1)``
        Begin a layer.
    done : ``Out(1)``
        The last byte of the layer was written in the cycle before.
    i : ``In(stream.Signature(ArrayLayout(8, channels), always_ready=True))``
        Codes.
    i_logits : ``In(stream.Signature(signed(32), always_ready=True))``
        Logits, channel by channel.
    write_enable, write_address, write_data
        Port of the activation memory.
    """

    i: stream.Interface
    i_logits: stream.Interface

    def __init__(self, *, channels: int, groups: int, lanes: int, depth: int, pixels: int):
        self.channels = channels
        self.groups = groups
        self.lanes = lanes
        self.depth = depth
        self.pixels = pixels
        super().__init__(
            {
                "layer": In(LayerDescriptor),
                "start": In(1),
                "done": Out(1),
                "i": In(stream.Signature(data.ArrayLayout(8, channels), always_ready=True)),
                "i_logits": In(stream.Signature(signed(32), always_ready=True)),
                "write_enable": Out(lanes),
                "write_address": Out(range(depth // lanes)),
                "write_data": Out(data.ArrayLayout(8, lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        arrived = Signal()
        m.d.comb += arrived.eq(self.i.valid | self.i_logits.valid)

        # Pack: beats of less than a byte wait for each other. How many, the bytes they give, and
        # how often a tile gives them to a pixel, stand for the whole layer and have registers.
        rows = self.channels * self.groups
        size = Signal(range(self.lanes + 1))  # bytes to write at once
        chunk = Signal(8 * self.lanes)
        beats = Signal(3)  # beats that fill them, less one
        chunks = Signal(range(rows))  # of a pixel, less one
        held = Signal(8)
        with m.If(layer.logits):
            m.d.sync += [size.eq(LOGIT_BYTES), beats.eq(0), chunks.eq(rows - 1)]
            m.d.comb += chunk.eq(self.i_logits.payload)
        with m.Else(), m.Switch(layer.out_pack):
            for pack in range(3):
                width = 8 >> pack
                packed = Cat(code[:width] for code in self.i.p)
                with m.Case(pack):
                    m.d.sync += beats.eq(max(8 // len(packed), 1) - 1)
                    if len(packed) < 8:
                        with m.If(arrived):
                            m.d.sync += held.eq(Cat(held, packed)[len(packed) :])
                        packed = Cat(held, packed)[-8:]
                    bytes_at_once = len(packed) // 8
                    m.d.sync += [
                        size.eq(bytes_at_once),
                        chunks.eq((rows >> pack) // bytes_at_once - 1),
                    ]
                    m.d.comb += chunk.eq(packed)

        # Count beats of a chunk, chunks of a pixel, pixels of a tile, tiles of the layer.
        beat, chunk_count = Signal(3), Signal.like(chunks)
        offset_width = bits_for(self.depth + LOGIT_BYTES * self.channels * self.groups)
        offset, tile_offset = Signal(offset_width), Signal(offset_width)  # bytes within the pixel
        pixel_base = Signal(range(self.depth))
        pixel, tile = Signal(range(self.pixels)), Signal(range(self.depth))
        full = Signal()
        end_offset = Signal(offset_width)
        last_pixel, last_tile = Signal(), Signal()
        pixel_done = Signal()
        m.d.comb += [
            full.eq(arrived & (beat == beats)),
            end_offset.eq(offset + size),
            pixel_done.eq(full & (chunk_count == chunks)),
            last_pixel.eq(pixel == layer.last_pixel[: len(pixel)]),
            last_tile.eq(tile == layer.last_tile[: len(tile)]),
        ]
        m.d.sync += self.done.eq(pixel_done & last_pixel & last_tile)
        with m.If(arrived):
            m.d.sync += beat.eq(Mux(full, 0, beat + 1))
        with m.If(full):
            m.d.sync += [offset.eq(end_offset), chunk_count.eq(chunk_count + 1)]
        with m.If(pixel_done):
            m.d.sync += [
                chunk_count.eq(0),
                offset.eq(tile_offset),
                pixel_base.eq(pixel_base + layer.out_pixel_bytes),
                pixel.eq(pixel + 1),
            ]
            with m.If(last_pixel):
                m.d.sync += [
                    offset.eq(end_offset),
                    tile_offset.eq(end_offset),
                    pixel_base.eq(layer.out_base),
                    pixel.eq(0),
                    tile.eq(tile + 1),
                ]
        with m.If(self.start):
            m.d.sync += [
                pixel_base.eq(layer.out_base),
                *(count.eq(0) for count in (beat, chunk_count, offset, tile_offset, pixel, tile)),
            ]

        # Write: a chunk starts at a multiple of its size; channels that fill up the tile are lost.
        split = exact_log2(self.lanes)
        address = Signal(range(self.depth))
        write = Signal()
        m.d.comb += [
            address.eq(pixel_base + offset),
            write.eq(full & (offset < layer.out_pixel_bytes[:offset_width])),
            self.write_address.eq(address[split:]),
        ]
        for power in range(split + 1):
            with m.If(size == 1 << power):
                for bank in range(self.lanes):
                    here = address[power:split] == bank >> power
                    m.d.comb += [
                        self.write_enable[bank].eq(write & here),
                        self.write_data[bank].eq(chunk.word_select(bank % (1 << power), 8)),
                    ]

        return m
