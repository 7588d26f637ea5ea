"""The engine: stores, array and output path, run by the sequencer; all but the host link."""

from amaranth import Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import exact_log2

from downshift.hw.array_style import make_array
from downshift.hw.channel_serializer import ChannelSerializer
from downshift.hw.code_writer import CodeWriter
from downshift.hw.config import AcceleratorConfig
from downshift.hw.counters import Counters, count_events
from downshift.hw.descriptor import PROFILES
from downshift.hw.fabric import Fabric
from downshift.hw.mac import dot_width
from downshift.hw.max_pool import MaxPool
from downshift.hw.partial_sums import PartialSums
from downshift.hw.region import PARAMETER_BYTES, PROGRAM_BYTES, Region
from downshift.hw.requantize import Requantize
from downshift.hw.residual_sum import ResidualSum
from downshift.hw.section_reader import SectionPort, add_section_reader
from downshift.hw.sequencer import Sequencer
from downshift.hw.skid_buffer import SkidBuffer
from downshift.hw.store import ActivationStore, ByteWrite, Store, read_port
from downshift.hw.weight_loader import WeightLoader
from downshift.hw.window import Window

__all__ = ["Engine"]


class Engine(wiring.Component):
    """Run frames: input codes in activation memory to logits in activation memory.

    ::

        weight store ─► loader ─► array ─► partial sums ─► queue ─► requantize ─► pool ─► writer
        activations  ─► window ─────┘                                                        │
              ▲────────────────────────────────────────────────────────────────────────────┘

    With `all_layers`, codes of a residual come as dot products, too: the array multiplies them by
    1. The residual sum, before the requantizers, gives them their weight.

    Parameters
    ----------
    config : AcceleratorConfig
    fabric : Fabric
    scrubbing : bool
        Let the link read what lies in the stores.

    Members
    -------
    region, write : ``In(2)``, ``In(ByteWrite)``
        Bytes from the link; not during a frame.
    read : ``In(read_port(activation_bytes, 8))``
        A byte of activation memory for the link; not during a frame.
    section : ``In(SectionPort)``
        Bytes of `region`, if there is `scrubbing`; not during a frame.
    start, profile : ``In(1)``, ``In(4)``
        Run a frame.
    busy, done, missing : ``Out(1)``
        As of `Sequencer`, a cycle later.
    counters : ``Out(Counters)``
    """

    def __init__(
        self, *, config: AcceleratorConfig, fabric: Fabric | None = None, scrubbing: bool = True
    ):
        if not isinstance(config, AcceleratorConfig):
            raise TypeError(f"Config must be an AcceleratorConfig, not {config!r}")
        self.config = config
        self.fabric = fabric or Fabric()
        self.scrubbing = scrubbing
        super().__init__(
            {
                "region": In(Region),
                "write": In(ByteWrite),
                "read": In(read_port(config.activation_bytes, 8)),
                "section": In(SectionPort),
                "start": In(1),
                "profile": In(range(PROFILES)),
                "busy": Out(1),
                "done": Out(1),
                "missing": Out(1),
                "counters": Out(Counters),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        beat = {"channels": c.requantizers, "groups": c.groups}

        # Blocks.
        m.submodules.program = program = Store(
            word_bytes=PROGRAM_BYTES, depth=c.program_depth, pipelined=c.pipelined
        )
        m.submodules.weights = weights = Store(
            word_bytes=c.rows, depth=c.weight_depth, pipelined=c.pipelined
        )
        m.submodules.parameters = parameters = Store(
            word_bytes=PARAMETER_BYTES * c.requantizers,
            depth=c.parameter_depth,
            pipelined=c.pipelined,
        )
        m.submodules.activations = activations = ActivationStore(
            lanes=c.lanes, depth=c.activation_bytes, pipelined=c.pipelined
        )
        m.submodules.sequencer = sequencer = Sequencer(
            depth=c.program_depth, read_latency=Store.latency_of(pipelined=c.pipelined)
        )
        m.submodules.loader = loader = WeightLoader(
            rows=c.rows,
            lanes=c.lanes,
            depth=c.weight_depth,
            activation_bytes=c.activation_bytes,
            pipelined=c.pipelined,
            all_layers=c.all_layers,
        )
        m.submodules.window = window = Window(
            lanes=c.lanes,
            depth=c.activation_bytes,
            pixels=c.partial_sum_depth,
            pipelined=c.pipelined,
            all_layers=c.all_layers,
        )
        m.submodules.array = array = make_array(c, fabric=self.fabric)
        m.submodules.sums = sums = PartialSums(
            rows=c.rows,
            dot_width=dot_width(c.lanes),
            depth=c.partial_sum_depth,
            pipelined=c.pipelined,
            all_layers=c.all_layers,
        )
        m.submodules.serializer = serializer = ChannelSerializer(
            rows=c.rows,
            requantizers=c.requantizers,
            depth=c.parameter_depth,
            pipelined=c.pipelined,
        )
        m.submodules.requantize = requantize = Requantize(
            channels=c.requantizers, half_rate=c.half_rate, fabric=self.fabric
        )
        m.submodules.pool = pool = MaxPool(**beat, pixels=c.partial_sum_depth)
        m.submodules.writer = writer = CodeWriter(
            **beat, lanes=c.lanes, depth=c.activation_bytes, pixels=c.partial_sum_depth
        )

        # Data.
        for source, sink, name in (
            (loader.o, array.i_weights, "weights_skid"),
            (window.o, array.i_acts, "acts_skid"),
            (array.o, sums.i, "dots_skid"),
            (pool.o, writer.i, "codes_skid"),
        ):
            if c.pipelined:
                m.submodules[name] = skid = SkidBuffer(shape=source.p.shape())
                connect(m, source, skid.i)
                connect(m, skid.o, sink)
            else:
                connect(m, source, sink)
        if c.output_depth > 1:
            m.submodules.queue = queue = SyncFIFOBuffered(
                width=Value.cast(sums.o.p).shape().width, depth=c.output_depth
            )
            m.d.comb += [
                queue.w_data.eq(sums.o.p),
                queue.w_en.eq(sums.o.valid),
                sums.o.ready.eq(queue.w_rdy),
                Value.cast(serializer.i.p).eq(queue.r_data),
                serializer.i.valid.eq(queue.r_rdy),
                queue.r_en.eq(serializer.i.ready),
            ]
        else:
            connect(m, sums.o, serializer.i)
        layer, layer_done = sequencer.layer, writer.done
        if c.all_layers:
            m.submodules.residual = residual = ResidualSum(
                channels=c.requantizers, fabric=self.fabric
            )
            connect(m, serializer.o, residual.i)
            connect(m, residual.o, requantize.i)
            m.d.comb += [
                residual.residual.eq(layer.residual),
                residual.shift.eq(layer.residual_shift),
                sums.keep.eq(layer.keep),
                sums.resume.eq(layer.resume),
                sums.residual.eq(layer.residual),
            ]
            layer_done = writer.done | sums.kept
        else:
            connect(m, serializer.o, requantize.i)
        connect(m, requantize.o, pool.i)
        connect(m, serializer.o_logits, writer.i_logits)

        # Control.
        m.d.comb += [
            sequencer.start.eq(self.start),
            sequencer.profile.eq(self.profile),
            sequencer.layer_done.eq(layer_done),
            array.weight_width.eq(layer.weight_width),
            array.pack.eq(layer.in_pack),
            requantize.zero_point.eq(layer.zero_point),
            requantize.out_max.eq(layer.out_max),
            pool.last_pool.eq(layer.last_pool),
        ]
        m.d.sync += [
            self.busy.eq(sequencer.busy),
            self.done.eq(sequencer.done),
            self.missing.eq(sequencer.missing),
        ]
        for block in (loader, window, serializer, writer):
            m.d.comb += [block.layer.eq(layer), block.start.eq(sequencer.start_layer)]

        # Stores.
        for store, reader, region in (
            (program, sequencer, Region.PROGRAM),
            (weights, loader, Region.WEIGHTS),
            (parameters, serializer, Region.PARAMETERS),
        ):
            m.d.comb += [
                store.write.address.eq(self.write.address),
                store.write.data.eq(self.write.data),
                store.write.enable.eq(self.write.enable & (self.region == region)),
            ]
            m.d.comb += [
                store.read.address.eq(reader.read.address),
                store.read.enable.eq(reader.read.enable),
                reader.read.data.eq(store.read.data),
            ]
        m.d.comb += program.advance.eq(1)
        for store, reader in ((weights, loader), (parameters, serializer)):
            m.d.comb += store.advance.eq(reader.advance | self.section.enable)
        if self.scrubbing:
            stores = {
                Region.PROGRAM: program, Region.WEIGHTS: weights, Region.PARAMETERS: parameters
            }  # fmt: skip
            add_section_reader(m, stores, region=self.region, section=self.section)
        split = exact_log2(c.lanes)
        by_link = self.write.enable & (self.region == Region.ACTIVATIONS)
        with m.If(self.busy):
            m.d.comb += [
                activations.write_enable.eq(writer.write_enable),
                activations.write_address.eq(writer.write_address),
                activations.write_data.eq(writer.write_data),
                activations.read.enable.eq(window.read.enable),
                activations.read.address.eq(window.read.address),
                activations.advance.eq(window.advance),
            ]
        with m.Else():
            m.d.comb += [
                activations.write_enable.eq(Mux(by_link, 1 << self.write.address[:split], 0)),
                activations.write_address.eq(self.write.address[split:]),
                Value.cast(activations.write_data).eq(self.write.data.replicate(c.lanes)),
                activations.read.enable.eq(self.read.enable),
                activations.read.address.eq(self.read.address),
                activations.advance.eq(1),
            ]
        m.d.comb += [
            window.read.data.eq(activations.read.data),
            self.read.data.eq(activations.read.data[0]),
        ]

        count_events(
            m,
            self.counters,
            busy=sequencer.busy,
            start=self.start,
            events={
                "cycles": 1,
                "busy": array.use.busy,
                "tile_load": array.use.tile_load,
                "weight_words": loader.read.enable,
            },
        )

        return m
