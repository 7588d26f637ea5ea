"""The engine of the table style: stores and convolution core, run by the sequencer."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from downshift.hw.block_ram import BlockRam
from downshift.hw.conv_core import ConvCore
from downshift.hw.conv_layer import ConvLayer
from downshift.hw.counters import Counters, CycleUse, count_events
from downshift.hw.descriptor import PROFILES
from downshift.hw.fabric import Fabric
from downshift.hw.generate import shared
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.parameter_loader import parameter_bytes
from downshift.hw.pass_queue import PassQueue
from downshift.hw.region import PROGRAM_BYTES, Region
from downshift.hw.section_reader import SectionPort, add_section_reader
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
    scrubbing : bool
        As of `Engine`.

    Members
    -------
    As of `Engine`, but that `read` takes two cycles more than `BlockRam`.
    """

    def __init__(
        self, *, config: TableConfig, fabric: Fabric | None = None, scrubbing: bool = True
    ):
        if not isinstance(config, TableConfig):
            raise TypeError(f"Config must be a TableConfig, not {config!r}")
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

        # Blocks.
        program = WordStore(word_bytes=PROGRAM_BYTES, depth=c.program_depth, fabric=self.fabric)
        weights = WordStore(word_bytes=ROWS * COLUMNS, depth=c.weight_depth, fabric=self.fabric)
        parameters = WordStore(
            word_bytes=parameter_bytes(c.multiplier_width),
            depth=c.parameter_depth,
            fabric=self.fabric,
        )
        m.submodules.program = shared(program, platform)
        m.submodules.weights = shared(weights, platform)
        m.submodules.parameters = shared(parameters, platform)
        m.submodules.sequencer = sequencer = Sequencer(
            depth=c.program_depth, layer=ConvLayer, read_latency=BlockRam.latency
        )
        m.submodules.passes = passes = PassQueue(layer=ConvLayer)
        m.submodules.core = core = ConvCore(
            segments=c.segments,
            acc_width=ACC_WIDTH,
            sum_depth=c.sum_depth,
            activation_depth=c.activation_depth,
            weight_depth=c.weight_depth,
            parameter_depth=c.parameter_depth,
            multiplier_width=c.multiplier_width,
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
        ]
        m.d.sync += [
            self.done.eq(sequencer.done),
            self.missing.eq(sequencer.missing),
        ]

        # Stores.
        m.d.comb += [
            program.read.enable.eq(sequencer.read.enable),
            program.read.address.eq(sequencer.read.address),
            sequencer.read.data.eq(program.read.data),
        ]
        for reader, store in ((core.read_weights, weights), (core.read_parameters, parameters)):
            m.d.comb += [
                store.read.enable.eq(reader.enable),
                store.read.address.eq(reader.address),
                reader.data.eq(store.read.data),
            ]
        for store, region in (
            (program, Region.PROGRAM),
            (weights, Region.WEIGHTS),
            (parameters, Region.PARAMETERS),
        ):
            m.d.sync += [
                store.write.address.eq(self.write.address),
                store.write.data.eq(self.write.data),
                store.write.enable.eq(self.write.enable & (self.region == region)),
            ]

        # Activation memory: the core's during a frame, else the link's.
        m.submodules.activations = activations = BlockRam(
            width=8 * WORD_BYTES, depth=c.activation_depth, granularity=8, fabric=self.fabric
        )
        read = activations.read
        split = exact_log2(WORD_BYTES)
        by_link = self.write.enable & (self.region == Region.ACTIVATIONS)
        busy = Signal()
        m.d.sync += busy.eq(self.busy)
        if self.scrubbing:
            stores = {
                Region.PROGRAM: program, Region.WEIGHTS: weights, Region.PARAMETERS: parameters
            }  # fmt: skip
            add_section_reader(m, stores, region=self.region, section=self.section)
        with m.If(busy):
            m.d.comb += [
                activations.write_address.eq(core.write_address),
                activations.write_data.eq(core.write_data),
                *(
                    activations.write_enable.word_select(quarter, WORD_BYTES // QUARTERS).eq(
                        core.write_enable[quarter].replicate(WORD_BYTES // QUARTERS)
                    )
                    for quarter in range(QUARTERS)
                ),
            ]
            m.d.comb += [
                read.address.eq(core.read_activations.address),
                read.enable.eq(core.read_activations.enable),
            ]
        with m.Else():
            m.d.comb += [
                activations.write_address.eq(self.write.address[split:]),
                activations.write_data.eq(self.write.data.replicate(WORD_BYTES)),
                activations.write_enable.eq(Mux(by_link, 1 << self.write.address[:split], 0)),
            ]
            m.d.comb += [
                read.address.eq(self.read.address[split:]),
                read.enable.eq(self.read.enable),
            ]
        m.d.comb += core.read_activations.data.eq(read.data)
        lane = Signal(split)
        with m.If(self.read.enable):
            m.d.sync += lane.eq(self.read.address[:split])
        quarter = Signal(32)
        m.d.sync += [
            quarter.eq(read.data.word_select(lane[2:], 32)),
            self.read.data.eq(quarter.word_select(lane[:2], 8)),
        ]

        # What cycles go to: only while words of the map are to come, waiting for them or weights.
        coming, came, word_read = Signal(), Signal(init=1), Signal()
        seen, use = Signal(CycleUse), Signal(CycleUse)
        with m.If(passes.start):
            m.d.sync += came.eq(0)
        with m.Elif(core.over | core.done):
            m.d.sync += came.eq(1)
        m.d.sync += [
            coming.eq((passes.start | ~came) & ~core.done),
            seen.eq(core.use),
            use.busy.eq(seen.busy & ~core.layer.pool),
            use.tile_load.eq(seen.tile_load & coming & ~core.layer.pool),
            use.fetch.eq((seen.fetch | core.layer.pool) & coming),
            word_read.eq(core.read_weights.enable),
        ]
        count_events(
            m,
            self.counters,
            busy=busy,
            start=self.start,
            events={
                "cycles": 1,
                "busy": use.busy,
                "tile_load": use.tile_load,
                "fetch": use.fetch,
                "weight_words": word_read,
            },
        )
        return m
