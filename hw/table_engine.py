"""The engine of the table style: stores and convolution core, run by the sequencer."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import exact_log2

from downshift.hw.conv_core import ConvCore, ConvLayer
from downshift.hw.counters import Counters, count_events
from downshift.hw.descriptor import PROFILES
from downshift.hw.fabric import Fabric
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.pass_queue import PassQueue
from downshift.hw.region import PARAMETER_BYTES, PROGRAM_BYTES, Region
from downshift.hw.sequencer import Sequencer
from downshift.hw.store import ByteWrite, read_port
from downshift.hw.table import QUARTERS
from downshift.hw.table_config import ACC_WIDTH, COLUMNS, ROWS, TableConfig
from downshift.hw.word_store import WordStore

__all__ = ["TableEngine"]


class TableEngine(wiring.Component):
    """Run frames: input codes in activation memory to logits in activation memory.

    ::

        weight store, parameter store ─► convolution core ◄─► activation memory
        program ─► sequencer ─► pass queue ─┘

    Parameters
    ----------
    config : TableConfig
    fabric : Fabric

    Members
    -------
    As of `Engine`, but that `read` takes two cycles.
    """

    def __init__(self, *, config: TableConfig, fabric: Fabric | None = None):
        if not isinstance(config, TableConfig):
            raise TypeError(f"Config must be a TableConfig, not {config!r}")
        self.config = config
        self.fabric = fabric or Fabric()
        super().__init__(
            {
                "region": In(Region),
                "write": In(ByteWrite),
                "read": In(read_port(config.activation_bytes, 8)),
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

        # Blocks.
        m.submodules.program = program = WordStore(word_bytes=PROGRAM_BYTES, depth=c.program_depth)
        m.submodules.weights = weights = WordStore(word_bytes=ROWS * COLUMNS, depth=c.weight_depth)
        m.submodules.parameters = parameters = WordStore(
            word_bytes=PARAMETER_BYTES, depth=c.parameter_depth
        )
        m.submodules.sequencer = sequencer = Sequencer(depth=c.program_depth, layer=ConvLayer)
        m.submodules.passes = passes = PassQueue(layer=ConvLayer)
        m.submodules.core = core = ConvCore(
            segments=c.segments,
            acc_width=ACC_WIDTH,
            sum_depth=c.sum_depth,
            activation_depth=c.activation_depth,
            weight_depth=c.weight_depth,
            parameter_depth=c.parameter_depth,
            fabric=self.fabric,
        )

        # Control.
        m.d.comb += [
            sequencer.start.eq(self.start),
            sequencer.profile.eq(self.profile),
            sequencer.layer_done.eq(passes.over),
            passes.coming.eq(sequencer.layer),
            passes.come.eq(sequencer.start_layer),
            passes.done.eq(core.done),
            core.coming.eq(sequencer.layer),
            core.known.eq(passes.known),
            core.layer.eq(passes.layer),
            core.start.eq(passes.start),
            self.busy.eq(sequencer.busy),
            self.done.eq(sequencer.done),
            self.missing.eq(sequencer.missing),
        ]

        # Stores.
        for store, read, region in (
            (program, sequencer.read, Region.PROGRAM),
            (weights, core.read_weights, Region.WEIGHTS),
            (parameters, core.read_parameters, Region.PARAMETERS),
        ):
            m.d.comb += [
                store.write.address.eq(self.write.address),
                store.write.data.eq(self.write.data),
                store.write.enable.eq(self.write.enable & (self.region == region)),
            ]
            connect(m, read, store.read)

        # Activation memory: the core's during a frame, else the link's.
        word = data.ArrayLayout(8, WORD_BYTES)
        m.submodules.activations = memory = Memory(shape=word, depth=c.activation_depth, init=[])
        write, read = memory.write_port(granularity=1), memory.read_port()
        split = exact_log2(WORD_BYTES)
        by_link = self.write.enable & (self.region == Region.ACTIVATIONS)
        with m.If(self.busy):
            m.d.sync += [
                write.addr.eq(core.write_address),
                write.data.eq(core.write_data),
                *(
                    write.en.word_select(quarter, WORD_BYTES // QUARTERS).eq(
                        core.write_enable[quarter].replicate(WORD_BYTES // QUARTERS)
                    )
                    for quarter in range(QUARTERS)
                ),
            ]
            m.d.comb += [
                read.addr.eq(core.read_activations.address),
                read.en.eq(core.read_activations.enable),
            ]
        with m.Else():
            m.d.sync += [
                write.addr.eq(self.write.address[split:]),
                write.data.as_value().eq(self.write.data.replicate(WORD_BYTES)),
                write.en.eq(Mux(by_link, 1 << self.write.address[:split], 0)),
            ]
            m.d.comb += [
                read.addr.eq(self.read.address[split:]),
                read.en.eq(self.read.enable),
            ]
        m.d.comb += core.read_activations.data.eq(read.data)
        lane, read_word = Signal(split), Signal.like(read.data, reset_less=True)
        with m.If(self.read.enable):
            m.d.sync += lane.eq(self.read.address[:split])
        m.d.sync += read_word.eq(read.data)
        m.d.comb += self.read.data.eq(read_word[lane])

        count_events(
            m,
            self.counters,
            busy=self.busy,
            start=self.start,
            events={
                "cycles": 1,
                "vectors": core.vector_taken,
                "weight_words": core.read_weights.enable,
                "output_wait": 0,
            },
        )
        return m
