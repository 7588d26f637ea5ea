"""The tile loader: tiles of weights for a table array, through the precision switch."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.aligned_switch import AlignedSwitch
from downshift.hw.block_ram import BlockRam
from downshift.hw.code_groups import groups_of
from downshift.hw.fabric import Fabric, ram_port
from downshift.hw.table import LANES, row_order
from downshift.hw.table_fill import loaded_channel
from downshift.hw.word_chains import CHAIN

__all__ = ["LoaderLayer", "TileLoader", "loader_fields"]


class LoaderLayer(data.Struct):
    """What the loader is told about a pass; counts are stored less one."""

    width: 4  # `switch_code` of the weights
    group: 2  # log2 of a quarter of the channels in a word
    diagonal: 1  # a row has no weights but those of the channel of its number
    plain: 1  # words come once, as they are, and only those there are
    last_tile: 8  # tiles of output channels
    last_depth: 8  # tiles of the depth
    last_chains: 8  # chains, or plain words, of the last tile of the depth; all others have all
    base: 16  # word of the weight store


def loader_fields(*, width, group, tiles, words, segments, base, mode=None):
    """Describe a pass to `TileLoader`.

    Parameters
    ----------
    width : int
        `switch_code` of the weights.
    group : int
        Channels of a word of the input map.
    tiles : int
        Tiles of output channels.
    words : int
        Words of a receptive field, with "separate" and "column" of the kernel.
    segments : int
        Words of a vector.
    base : int
        Address of the weights.
    mode : "separate", "column", "dense" or None
        Whether weights are `stored_tiles` with `separate`, also for `Lanes`, then at most
        `MOST_ROWS` a tile; or `dense_tiles`.

    Returns
    -------
    dict of str to int
        Fields of `LoaderLayer`.
    """
    if mode == "column":
        segments = words
    depth = -(-words // segments)
    last = words - (depth - 1) * segments
    chains = groups_of(last) if mode == "dense" else -(-last // CHAIN)
    return {
        "width": width,
        "group": (group // 4).bit_length() - 1,
        "diagonal": mode == "separate",
        "plain": mode in ("column", "dense"),
        "last_tile": tiles - 1,
        "last_depth": depth - 1,
        "last_chains": chains,
        "base": base,
    }


class TileLoader(wiring.Component):
    """Read a layer's weights in order, switch their width, and fill up tiles.

    The twin of `stored_tiles` and `dense_tiles`, after `AlignedSwitch`; chains that a tile does not
    have are zero.
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
        chains, words = self.segments // CHAIN, groups_of(self.segments)
        count, chain = Signal(5), Signal(range(words))
        depth, tile = Signal(8), Signal(8)
        address = Signal(range(self.depth))
        chain_done, last_chain = Signal(), Signal()
        last_depth, coming_last = Signal(), Signal()
        absent = last_depth & (chain >= layer.last_chains)
        only_chain, last_but_one = Signal(), Signal.like(chain)
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
                    last_chain.eq(chain == last_but_one),
                ]
            with m.If(tile_done):
                m.d.sync += [
                    chain.eq(0),
                    last_chain.eq(only_chain),
                    depth.eq(Mux(last_depth, 0, depth + 1)),
                    last_depth.eq(coming_last),
                ]
                with m.If(layer.plain):
                    m.d.sync += last_but_one.eq(Mux(coming_last, layer.last_chains - 2, words - 2))
                with m.If(last_depth):
                    m.d.sync += [tile.eq(tile + 1), running.eq(tile != layer.last_tile)]
        coming, alone = self.layer, Signal()
        m.d.comb += [
            alone.eq(Mux(coming.plain, coming.last_chains == 1, chains == 1)),
            coming_last.eq(Mux(last_depth, layer.last_depth == 0, depth + 1 == layer.last_depth)),
        ]
        with m.If(self.start):
            m.d.sync += [
                running.eq(1),
                inside.eq(0),
                address.eq(coming.base),
                *(place.eq(0) for place in (count, chain, depth, tile)),
                last_chain.eq(alone),
                only_chain.eq(alone),
                chain_done.eq(coming.plain),
                last_depth.eq(coming.last_depth == 0),
                last_but_one.eq(Mux(coming.last_depth == 0, coming.last_chains, words) - 2),
                layer.eq(coming),
            ]
            with m.If(~coming.plain):
                m.d.sync += last_but_one.eq(chains - 2)
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
