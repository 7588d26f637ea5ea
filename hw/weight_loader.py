"""The weight loader: tiles of running weights for the array, through the precision switch."""

import numpy as np
from amaranth import Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from downshift.hw.descriptor import LayerDescriptor
from downshift.hw.precision_switch import PrecisionSwitch
from downshift.hw.store import read_port

__all__ = ["WeightLoader", "store_words", "tile_words"]


def store_words(weights, *, rows):
    """Order weights as the weight store holds them, once for all widths.

    Parameters
    ----------
    weights : int8 array, shape (out_channels, in_channels, kernel_height, kernel_width)
    rows : int
        Output channels of a tile.

    Returns
    -------
    int8 array, shape (words, rows)
        By tile of output channels, kernel row, kernel column and input channel; channels beyond the
        last are zero.
    """
    out_channels, *rest = weights.shape
    padded = np.zeros((-(-out_channels // rows) * rows, *rest), np.int8)
    padded[:out_channels] = weights
    tiles = padded.reshape(-1, rows, *rest)  # (tile, row, channel, ky, kx)
    return tiles.transpose(0, 3, 4, 2, 1).reshape(-1, rows)


def tile_words(weights, *, rows, chunk, slots):
    """Order weights as the array takes them: the golden function of the loader.

    Parameters
    ----------
    weights : int8 array, shape (out_channels, in_channels, kernel_height, kernel_width)
        Running weights.
    rows : int
        Output channels of a tile.
    chunk : int
        Codes in a vector of activations.
    slots : int
        Places for codes in one input pixel, at least in_channels.

    Returns
    -------
    int8 array, shape (words, rows)
        By tile, kernel row, and place in the kernel row rounded up to whole chunks; places without
        a weight are zero.
    """
    kernel_height, kernel_width = weights.shape[2:]
    stored = store_words(weights, rows=rows)
    stored = stored.reshape(-1, kernel_height, kernel_width, weights.shape[1], rows)
    run = kernel_width * slots
    words = np.zeros((*stored.shape[:2], -(-run // chunk) * chunk, rows), np.int8)
    places = words[:, :, :run].reshape(*stored.shape[:3], slots, rows)
    places[..., : weights.shape[1], :] = stored
    words[:, :, :run] = places.reshape(*stored.shape[:2], run, rows)
    return words.reshape(-1, rows)


class WeightLoader(wiring.Component):
    """Read a layer's weights from the store in order, switch their width, and fill up tiles.

    The twin of `tile_words` after `precision_switch`: one word a cycle, stalled by the array, the
    first `latency` cycles after `start`. Each stored word is read once per pass, whatever the
    width; places without a weight cost a cycle and no read.

    Parameters
    ----------
    rows : int
        Output channels of a tile.
    lanes : int
        Bytes in a vector of activations.
    depth : int
        Words of the weight store.
    activation_bytes : int
        Bytes of activation memory; no loop over a map is longer.
    pipelined : bool
        Give what is asked of the store a register; what the store reads has one, too.
    all_layers : bool
        Know `grouped` and `repeat`.

    Members
    -------
    layer : ``In(LayerDescriptor)``
    start : ``In(1)``
        Begin a pass; ignored during one.
    read : ``Out(read_port(depth, ...))``
        Port of the weight store.
    advance : ``Out(1)``
        What it has read goes into its register.
    o : ``Out(stream.Signature(ArrayLayout(signed(8), rows)))``
        Running weights.
    """

    o: stream.Interface

    def __init__(
        self,
        *,
        rows: int,
        lanes: int,
        depth: int,
        activation_bytes: int,
        pipelined: bool = True,
        all_layers: bool = False,
    ):
        self.rows = rows
        self.lanes = lanes
        self.depth = depth
        self.activation_bytes = activation_bytes
        self.pipelined = pipelined
        self.all_layers = all_layers
        self.latency = self.latency_of(pipelined=pipelined)
        super().__init__(
            {
                "layer": In(LayerDescriptor),
                "start": In(1),
                "read": Out(read_port(depth, data.ArrayLayout(8, rows))),
                "advance": Out(1),
                "o": Out(stream.Signature(data.ArrayLayout(signed(8), rows))),
            }
        )

    @staticmethod
    def latency_of(*, pipelined: bool) -> int:
        """Cycles from `start` to the first word."""
        return 2 + 2 * pipelined + PrecisionSwitch.latency

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        m.submodules.switch = switch = PrecisionSwitch(lanes=self.rows)
        m.d.comb += switch.width.eq(layer.weight_width)
        wiring.connect(m, switch.o, wiring.flipped(self.o))

        place_word = data.StructLayout({"valid": 1, "blank": self.rows})
        asked = Signal(data.StructLayout({"word": place_word, "enable": 1, "again": 1}))
        begin = Signal()

        # A place holds a weight unless it fills up a pixel or the last chunk of a kernel row.
        running = Signal()
        advance = self.advance
        count_width = min(16, ceil_log2(self.activation_bytes))
        slot = Signal(count_width + 2)
        column = Signal(range(256 + 4 * self.lanes))
        weight_here = Signal()
        address = Signal(range(self.depth))
        m.d.comb += weight_here.eq(
            (slot < layer.channels[: len(slot)]) & (column < layer.kernel_columns)
        )

        # Places of a kernel row, in chunks.
        place = Signal(range(4 * self.lanes))
        last_place = Signal.like(place)
        chunk, kernel_row, tile = Signal(count_width), Signal(8), Signal(count_width)
        m.d.comb += last_place.eq((self.lanes << layer.in_pack) - 1)
        with m.If(running & advance):
            m.d.sync += [place.eq(place + 1), slot.eq(slot + 1)]
            with m.If(slot == layer.last_slot[: len(slot)]):
                m.d.sync += [slot.eq(0), column.eq(column + 1)]
            with m.If(place == last_place):
                m.d.sync += [place.eq(0), chunk.eq(chunk + 1)]
                with m.If(chunk == layer.last_chunk[:count_width]):
                    m.d.sync += [chunk.eq(0), slot.eq(0), column.eq(0)]
                    m.d.sync += kernel_row.eq(kernel_row + 1)
                    with m.If(kernel_row == layer.last_kernel_row):
                        m.d.sync += [kernel_row.eq(0), tile.eq(tile + 1)]
                        with m.If(tile == layer.last_tile[:count_width]):
                            m.d.sync += running.eq(0)
        m.d.comb += begin.eq(self.start & ~running & ~asked.word.valid)
        with m.If(begin):
            m.d.sync += [
                running.eq(1),
                *(counter.eq(0) for counter in (slot, column, place, chunk, kernel_row, tile)),
            ]

        # What a place asks for; a group's weights stay for all of its codes.
        grouped = layer.grouped if self.all_layers else Const(0, 1)
        row = slot + (layer.first_row << 2)
        asking = [
            asked.word.valid.eq(running),
            asked.enable.eq(running & weight_here & ~(grouped & (slot != 0))),
            *(
                asked.word.blank[index].eq(~weight_here | (grouped & (row != index)))
                for index in range(self.rows)
            ),
        ]
        if self.all_layers:
            again = running & layer.repeat & (slot == layer.last_slot[: len(slot)])
            asking.append(asked.again.eq(again))
        if self.pipelined:
            with m.If(advance):
                m.d.sync += asking
        else:
            m.d.comb += asking

        m.d.comb += [
            self.read.address.eq(address),
            self.read.enable.eq(asked.enable & advance),
        ]
        with m.If(begin | (asked.again & advance)):
            m.d.sync += address.eq(layer.weight_base)
        with m.Elif(self.read.enable):
            m.d.sync += address.eq(address + 1)

        # The word comes later, beside what is known of it.
        read = Signal(place_word)
        with m.If(advance):
            m.d.sync += read.eq(asked.word)
        if self.pipelined:
            held = Signal.like(read)
            with m.If(advance):
                m.d.sync += held.eq(read)
            read = held
        m.d.comb += switch.i.valid.eq(read.valid)
        for index in range(self.rows):
            word = self.read.data[index].as_signed()
            m.d.comb += switch.i.p[index].eq(Mux(read.blank[index], 0, word))
        m.d.comb += advance.eq(~switch.i.valid | switch.i.ready)

        return m
