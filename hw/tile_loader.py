"""The tile loader: tiles of weights for a table array, through the precision switch."""

from itertools import pairwise

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.aligned_switch import AlignedSwitch
from downshift.hw.block_ram import BlockRam
from downshift.hw.fabric import Fabric, ram_port
from downshift.hw.table import LANES, load_order, row_order
from downshift.hw.table_fill import loaded_channel
from downshift.hw.word_chains import CHAIN, chain_places

__all__ = ["LoaderLayer", "TileLoader", "loader_fields", "stored_tiles"]


def stored_tiles(weights, *, group, rows, segments, separate=False):
    """Order weights as the weight store holds them, once for all widths.

    Parameters
    ----------
    weights : int8 array, shape (out_channels, in_channels, kernel_height, kernel_width)
        With `separate`, one input channel: that of the same number.
    group : int
        Channels of a word of the input map.
    rows : int
        Output channels of a tile.
    segments : int
        Words of a vector.
    separate : bool
        Whether each tile of output channels has a group of its own.

    Returns
    -------
    int8 array, shape (words, rows, 3)
        By tile of output channels, tile of the depth, chain and channel in `load_order`; for each
        output channel, in `row_order`, the three words of the chain. Places without a weight are
        zero. With `separate`, all channels have the same word, and rows beyond the group repeat it.
    """
    out_channels, in_channels, *kernel = weights.shape
    if separate:
        tiles = -(-out_channels // group)
        padded = np.zeros((tiles, rows, 1, *kernel), np.int8)
        for index in range(tiles):
            part = weights[index * group : (index + 1) * group]
            for row in range(0, rows, group):
                padded[index, row : row + len(part)] = part
        return stored_tiles(padded.reshape(-1, 1, *kernel), group=1, rows=rows, segments=segments)
    tiles, groups = -(-out_channels // rows), -(-in_channels // group)
    padded = np.zeros((tiles * rows, groups * group, *kernel), np.int8)
    padded[:out_channels, :in_channels] = weights
    split = padded.reshape(tiles, rows, groups, group, *kernel)
    field = split.transpose(0, 1, 2, 4, 5, 3).reshape(tiles, rows, -1, group)
    words = []
    for tile in field:
        for begin in range(0, tile.shape[1], segments):
            taken = tile[:, begin : begin + segments]
            chains = -(-taken.shape[1] // CHAIN)
            places = np.zeros((rows, chains * CHAIN, group), np.int8)
            places[:, chain_places(taken.shape[1])] = taken
            by_chain = places.reshape(rows, chains, CHAIN, group)[..., load_order(group)]
            words.append(by_chain.transpose(1, 3, 0, 2).reshape(-1, rows, CHAIN))
    return np.concatenate(words)[:, row_order(rows)]


class LoaderLayer(data.Struct):
    """What the loader is told about a pass; counts are stored less one."""

    width: 4  # bits of the weights
    group: 2  # log2 of a quarter of the channels in a word
    diagonal: 1  # a row has no weights but those of the channel of its number
    plain: 1  # words come once, as they are, and only those there are
    last_tile: 8  # tiles of output channels
    last_depth: 8  # tiles of the depth
    last_chains: 4  # chains that the last tile of the depth has; all others have all
    base: 16  # word of the weight store


def loader_fields(*, width, group, tiles, words, segments, base, separate=False, plain=False):
    """Describe a pass to `TileLoader`.

    Parameters
    ----------
    width : int
        Bits of the weights.
    group : int
        Channels of a word of the input map.
    tiles : int
        Tiles of output channels.
    words : int
        Words of a receptive field, with `separate` of the kernel.
    segments : int
        Words of a vector.
    base : int
        Address of the weights.
    separate : bool
        As for `stored_tiles`.
    plain : bool
        With `separate`, for `DepthwiseLanes`: each word once, at most eight a tile.

    Returns
    -------
    dict of str to int
        Fields of `LoaderLayer`.
    """
    if plain:
        segments = words
    depth = -(-words // segments)
    last = words - (depth - 1) * segments
    return {
        "width": width,
        "group": (group // 4).bit_length() - 1,
        "diagonal": separate and not plain,
        "plain": plain,
        "last_tile": tiles - 1,
        "last_depth": depth - 1,
        "last_chains": -(-last // CHAIN),
        "base": base,
    }


class TileLoader(wiring.Component):
    """Read a layer's weights in order, switch their width, and fill up tiles.

    The twin of `stored_tiles`, after `AlignedSwitch`; chains that a tile does not have are zero.
    Words of a tile come one a cycle, the first one `latency` cycles after `begun`.

    Parameters
    ----------
    rows, segments : int
    depth : int
        Words of the weight store.
    fabric : Fabric

    Members
    -------
    layer : ``In(LoaderLayer)``
        Taken with `start`.
    start : ``In(1)``
        Begin a pass; only with `idle`.
    idle : ``Out(1)``
        All weights have left; a cycle late.
    room : ``In(1)``
        There is room for another tile.
    begun : ``Out(1)``
        A tile is begun: from the next cycle on `room` is about the one after it.
    read : ``Out(ram_port(depth, ...))``
        Port of the weight store.
    o : ``Out(stream.Signature(ArrayLayout(ArrayLayout(8, 3), rows), always_ready=True))``
        Running weights, aligned to the left; as of `AlignedSwitch`.
    """

    latency = BlockRam.latency + AlignedSwitch.latency

    o: stream.Interface

    def __init__(self, *, rows: int, segments: int, depth: int, fabric: Fabric | None = None):
        self.rows = rows
        self.segments = segments
        self.depth = depth
        self.fabric = fabric or Fabric()
        word = data.ArrayLayout(data.ArrayLayout(8, CHAIN), rows)
        super().__init__(
            {
                "layer": In(LoaderLayer),
                "start": In(1),
                "idle": Out(1, init=1),
                "room": In(1),
                "begun": Out(1),
                "read": Out(ram_port(depth, data.ArrayLayout(8, CHAIN * rows))),
                "o": Out(stream.Signature(word, always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = Signal(LoaderLayer)
        m.submodules.switch = switch = AlignedSwitch(lanes=CHAIN * self.rows, fabric=self.fabric)
        m.d.comb += [
            switch.width.eq(layer.width),
            self.o.valid.eq(switch.o.valid),
        ]
        order = row_order(self.rows)
        for lane in range(CHAIN * self.rows):
            m.d.comb += self.o.p[order[lane // CHAIN]][lane % CHAIN].eq(switch.o.p[lane])

        # Places of a tile.
        running, inside, reading = Signal(), Signal(), Signal()
        count, chain = Signal(5), Signal(3)
        depth, tile = Signal(8), Signal(8)
        address = Signal(range(self.depth))
        chains = self.segments // CHAIN
        chain_done, last_chain, last_depth = Signal(), Signal(), Signal()
        absent = last_depth & (chain >= layer.last_chains)
        only_chain = Signal()
        tile_done = chain_done & last_chain
        m.d.comb += [
            self.begun.eq(running & ~inside & self.room),
            reading.eq(running & (inside | self.room)),
        ]
        with m.If(reading):
            m.d.sync += [
                inside.eq(~tile_done),
                count.eq(count + 1),
                chain_done.eq(layer.plain | (count == (LANES << layer.group)[:6] - 2)),
                address.eq(address + (~absent & (~layer.diagonal | chain_done))),
            ]
            with m.If(chain_done):
                m.d.sync += [
                    count.eq(0),
                    chain.eq(chain + 1),
                    last_chain.eq(chain == Mux(layer.plain, layer.last_chains - 2, chains - 2)),
                ]
            with m.If(tile_done):
                m.d.sync += [
                    chain.eq(0),
                    last_chain.eq(only_chain),
                    depth.eq(depth + 1),
                    last_depth.eq(depth + 1 == layer.last_depth),
                ]
                with m.If(last_depth):
                    m.d.sync += [
                        depth.eq(0),
                        last_depth.eq(layer.last_depth == 0),
                        tile.eq(tile + 1),
                        running.eq(tile != layer.last_tile),
                    ]
        alone = Mux(self.layer.plain, self.layer.last_chains == 1, chains == 1)
        with m.If(self.start):
            m.d.sync += [
                running.eq(1),
                inside.eq(0),
                address.eq(self.layer.base),
                *(place.eq(0) for place in (count, chain, depth, tile)),
                last_chain.eq(alone),
                only_chain.eq(alone),
                chain_done.eq(self.layer.plain),
                last_depth.eq(self.layer.last_depth == 0),
                layer.eq(self.layer),
            ]
        m.d.comb += [
            self.read.address.eq(address),
            self.read.enable.eq(reading),
        ]

        # The word comes later, and with it which rows have none.
        stages = [Signal(_Asked, name=f"asked_{k}") for k in range(BlockRam.latency)]
        channel = Mux(layer.group == 0, count, loaded_channel(count))
        m.d.comb += [
            switch.i.p.codes.eq(self.read.data),
            switch.i.valid.eq(stages[-1].valid),
        ]
        m.d.sync += [
            self.idle.eq(~Cat(running, switch.busy, *(s.valid for s in stages)).any()),
            stages[0].valid.eq(reading),
            stages[0].absent.eq(absent),
            stages[0].channel.eq(channel),
            *(later.eq(stage) for stage, later in pairwise(stages)),
        ]
        asked = stages[-2]
        for place, row in enumerate(order):
            blank = asked.absent | (layer.diagonal & (asked.channel != row))
            lanes = slice(CHAIN * place, CHAIN * (place + 1))
            m.d.sync += switch.i.p.blank[lanes].eq(blank.replicate(CHAIN))

        return m


class _Asked(data.Struct):
    """A word on its way from the store."""

    valid: 1
    absent: 1
    channel: 5
