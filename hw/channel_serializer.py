"""The channel serializer: sums of all rows into beats of a few channels and their parameters."""

from itertools import pairwise

from amaranth import Array, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.descriptor import LayerDescriptor
from downshift.hw.partial_sums import ACC_WIDTH, sums_layout
from downshift.hw.store import read_port

__all__ = ["ChannelParameters", "ChannelSerializer", "channel_beats", "channels_layout"]


class ChannelParameters(data.Struct):
    """What the requantizer needs to know of one channel: eight bytes of the parameter store."""

    bias: signed(ACC_WIDTH)
    multiplier: 16
    shift: 6
    reserved: 10


def channels_layout(channels):
    """Layout of one beat: sums of `channels` channels and their parameters."""
    return data.StructLayout(
        {
            "sums": data.ArrayLayout(signed(ACC_WIDTH), channels),
            "parameters": data.ArrayLayout(ChannelParameters, channels),
        }
    )


def channel_beats(sums, *, requantizers):
    """Split the sums of pixels into beats: the golden function of the serializer.

    Parameters
    ----------
    sums : int32 array, shape (pixels, rows)
    requantizers : int
        Channels of a beat.

    Returns
    -------
    int32 array, shape (pixels * rows // requantizers, requantizers)
    """
    return sums.reshape(-1, requantizers)


class ChannelSerializer(wiring.Component):
    """Work through the rows of each pixel, `requantizers` channels a cycle.

    The twin of `channel_beats`. Parameters come from the store, one word a beat, in order of the
    channels; each tile of rows has its own. The sums of a layer that gives logits leave through
    `o_logits` instead, one channel a cycle, with their bias added.

    Parameters
    ----------
    rows : int
        Sums of a pixel.
    requantizers : int
        Channels of a beat; divides `rows`.
    depth : int
        Words of the parameter store.
    pipelined : bool
        The store has a register, which takes a cycle more.

    Members
    -------
    layer : ``In(LayerDescriptor)``
    start : ``In(1)``
        Begin a layer.
    read : ``Out(read_port(depth, ...))``
        Port of the parameter store.
    advance : ``Out(1)``
        What it has read goes into its register.
    i : ``In(stream.Signature(sums_layout(rows)))``
    o : ``Out(stream.Signature(channels_layout(requantizers)))``
        Codes to be; `latency` cycles after `i`.
    o_logits : ``Out(stream.Signature(signed(32)))``
        Logits, a cycle later.
    """

    i: stream.Interface
    o: stream.Interface
    o_logits: stream.Interface

    def __init__(self, *, rows: int, requantizers: int, depth: int, pipelined: bool = True):
        if rows % requantizers:
            raise ValueError(f"Requantizers must divide rows = {rows}, not be {requantizers!r}")
        self.rows = rows
        self.requantizers = requantizers
        self.depth = depth
        self.pipelined = pipelined
        self.latency = self.latency_of(pipelined=pipelined)
        super().__init__(
            {
                "layer": In(LayerDescriptor),
                "start": In(1),
                "read": Out(read_port(depth, data.ArrayLayout(ChannelParameters, requantizers))),
                "advance": Out(1),
                "i": In(stream.Signature(sums_layout(rows))),
                "o": Out(stream.Signature(channels_layout(requantizers))),
                "o_logits": Out(stream.Signature(signed(ACC_WIDTH))),
            }
        )

    @staticmethod
    def latency_of(*, pipelined: bool) -> int:
        """Cycles from sums to their first beat."""
        return 2 if pipelined else 1

    def elaborate(self, platform):
        m = Module()
        groups = self.rows // self.requantizers

        # Beats of a pixel; a beat of logits is spelled out channel by channel.
        group = Signal(range(groups))
        last_group = Signal(init=groups == 1)
        channel = Signal(range(max(self.requantizers, 2)))
        tile_base = Signal(range(self.depth))
        advance = self.advance
        channel_done = Signal()
        group_done = Signal()
        m.d.comb += [
            channel_done.eq(
                ~self.layer.logits | (channel == self.requantizers - 1) | (self.requantizers == 1)
            ),
            group_done.eq(channel_done & last_group),
            self.i.ready.eq(advance & group_done),
            self.read.enable.eq(advance & self.i.valid),
            self.read.address.eq(tile_base + group),
        ]
        with m.If(advance & self.i.valid):
            m.d.sync += channel.eq(channel + 1)
            with m.If(channel_done):
                m.d.sync += [
                    channel.eq(0),
                    group.eq(group + 1),
                    last_group.eq(group == groups - 2),
                ]
            with m.If(group_done):
                m.d.sync += [group.eq(0), last_group.eq(groups == 1)]
                with m.If(self.i.p.end):
                    m.d.sync += tile_base.eq(tile_base + groups)
        with m.If(self.start):
            m.d.sync += tile_base.eq(self.layer.parameter_base)

        # Parameters arrive `latency` cycles later, with the sums of their channels.
        beats = [
            Signal(
                data.StructLayout(
                    {"valid": 1, "channel": channel.shape(), "sums": self.o.p.sums.shape()}
                ),
                name=f"beat_{k}",
            )
            for k in range(self.latency)
        ]
        beat = beats[-1]
        sums = [self.i.p.sums[k] for k in range(self.rows)]
        with m.If(advance):
            m.d.sync += [beats[0].valid.eq(self.i.valid), beats[0].channel.eq(channel)]
            m.d.sync += [
                beats[0].sums[k].eq(Array(sums[k :: self.requantizers])[group])
                for k in range(self.requantizers)
            ]
            m.d.sync += [later.eq(earlier) for earlier, later in pairwise(beats)]
        m.d.comb += [
            self.o.p.parameters.eq(self.read.data),
            self.o.p.sums.eq(beat.sums),
            self.o.valid.eq(beat.valid & ~self.layer.logits),
        ]

        # Logits.
        logit_free = Signal()
        logits = Array(
            self.o.p.sums[k] + self.o.p.parameters[k].bias for k in range(self.requantizers)
        )
        m.d.comb += [
            logit_free.eq(~self.o_logits.valid | self.o_logits.ready),
            advance.eq(
                ~beat.valid | (self.layer.logits & logit_free) | (self.o.valid & self.o.ready)
            ),
        ]
        with m.If(logit_free):
            m.d.sync += [
                self.o_logits.valid.eq(beat.valid & self.layer.logits),
                self.o_logits.payload.eq(logits[beat.channel]),
            ]

        return m
