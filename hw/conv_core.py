"""The convolution core: a map in activation memory to the next one, in one pass."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect

from downshift.hw.conv_layer import ConvLayer
from downshift.hw.counters import CycleUse
from downshift.hw.fabric import Fabric, ram_port
from downshift.hw.fetch import Fetch
from downshift.hw.lanes import Lanes
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.output_rows import OutputRows
from downshift.hw.parameter_loader import ParameterLoader, parameter_bytes
from downshift.hw.residual import Residual
from downshift.hw.slot_row import lane_width
from downshift.hw.slot_sums import SlotSums
from downshift.hw.table import QUARTERS
from downshift.hw.table_array import TableArray
from downshift.hw.table_row import table_sum_width
from downshift.hw.tile_loader import TileLoader
from downshift.hw.word_chains import CHAIN, WordChains
from downshift.hw.word_format import CODES
from downshift.hw.word_pool import WordPool
from downshift.hw.word_writer import WordWriter

__all__ = ["ConvCore"]


class ConvCore(wiring.Component):
    """Fetch, multiply and accumulate, rescale, and write; or fetch and pool.

    ::

        weights ─► loader ─► array ─► slot sums ─► add ─► rescale ─► writer ─► activations
                       │       ▲         ▲          ▲        ▲                     ▲
        activations ─► fetch ─► chains   │   residual    parameters                │
                       │ └─────────────► │ ─────────────────────────────────────► pool
                       └─────► lanes ────┘

    Parameters
    ----------
    segments : int
        Words of a vector; a multiple of three.
    acc_width : int
        Bits of an accumulator.
    sum_depth : int
        Sums that are held of each row.
    activation_depth, weight_depth, parameter_depth : int
        Words of the memories.
    multiplier_width : int
        Bits of a multiplier that rescales, 16 or 24.
    fabric : Fabric

    Members
    -------
    layer : ``In(ConvLayer)``
    start, done : ``In(1)``, ``Out(1)``
    coming, known : ``In(ConvLayer)``, ``In(1)``
        Of the pass that follows, if it is known: its first tables are filled as soon as this pass
        has no more use for them.
    read_activations, read_weights, read_parameters : ``Out(ram_port(...))``
    write_enable, write_address, write_data : as of `WordWriter`
    use, over : ``Out(CycleUse)``, ``Out(1)``
        As of `TableArray`, but for passes of the pool.
    """

    rows = CODES
    write_latency = 1
    """Cycles from what the writer or the pool writes to the port."""

    def __init__(
        self,
        *,
        segments: int,
        acc_width: int,
        sum_depth: int,
        activation_depth: int,
        weight_depth: int,
        parameter_depth: int,
        multiplier_width: int = 16,
        fabric: Fabric | None = None,
    ):
        self.segments = segments
        self.acc_width = acc_width
        self.sum_depth = sum_depth
        self.activation_depth = activation_depth
        self.weight_depth = weight_depth
        self.parameter_depth = parameter_depth
        self.multiplier_width = multiplier_width
        self.fabric = fabric or Fabric()
        word = data.ArrayLayout(8, WORD_BYTES)
        parameters = data.ArrayLayout(8, parameter_bytes(multiplier_width))
        super().__init__(
            {
                "layer": In(ConvLayer),
                "start": In(1),
                "done": Out(1),
                "coming": In(ConvLayer),
                "known": In(1),
                "read_activations": Out(ram_port(activation_depth, word)),
                "read_weights": Out(ram_port(weight_depth, data.ArrayLayout(8, CHAIN * self.rows))),
                "read_parameters": Out(ram_port(parameter_depth, parameters)),
                "write_enable": Out(4),
                "write_address": Out(range(activation_depth)),
                "write_data": Out(word),
                "use": Out(CycleUse),
                "over": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer = self.layer
        shape = {"rows": self.rows, "segments": self.segments}

        # Vectors and weights.
        m.submodules.fetch = fetch = Fetch(segments=self.segments, depth=self.activation_depth)
        m.submodules.chains = chains = WordChains(segments=self.segments)
        m.submodules.loader = loader = TileLoader(
            **shape, depth=self.weight_depth, fabric=self.fabric
        )
        m.submodules.array = array = TableArray(
            **shape, columns=CHAIN, load_latency=TileLoader.latency + 1, fabric=self.fabric
        )
        m.submodules.lanes = lanes = Lanes(
            segments=self.segments,
            sum_width=lane_width(table_sum_width(self.segments)),
            fabric=self.fabric,
        )
        loaded = Signal(_Loaded)
        connect(m, chains.o, array.i_acts)
        m.d.comb += [
            chains.takes.eq(array.takes),
            array.i_weights.p.eq(loader.o.p),
            array.i_weights.valid.eq(loader.o.valid & ~loaded.separate),
            lanes.i_weights.p.eq(loader.o.p),
            lanes.i_weights.valid.eq(loader.o.valid & loaded.separate),
            array.begun.eq(loader.begun & ~loaded.separate),
            lanes.begun.eq(loader.begun & loaded.separate),
            array.pack.eq(layer.array.pack),
            array.fill_pack.eq(loaded.pack),
            array.channels.eq(loaded.group),
            array.act_width.eq(layer.array.act_width),
            array.cycles.eq(layer.array.cycles),
        ]

        # Room is known a cycle before, but for what was begun just now.
        asks = Mux(loaded.separate, lanes.asks, array.asks)
        m.d.sync += loader.room.eq(asks & ~loader.begun)

        # Sums.
        m.submodules.sums = sums = SlotSums(
            rows=self.rows,
            sum_width=table_sum_width(self.segments),
            acc_width=self.acc_width,
            depth=self.sum_depth,
            fabric=self.fabric,
        )
        m.submodules.parameters = parameters = ParameterLoader(
            rows=self.rows, depth=self.parameter_depth, multiplier_width=self.multiplier_width
        )
        m.d.comb += [
            sums.slots.eq(layer.array.slots),
            sums.keep.eq(layer.array.keep),
            sums.alone.eq(layer.separate),
            sums.lanes.eq(lanes.o.p.sums),
            sums.sums.eq(array.o.p.sums),
        ]
        m.d.sync += [
            sums.next.valid.eq(Mux(layer.separate, lanes.soon.valid, array.soon.valid)),
            sums.next.p.eq(Mux(layer.separate, lanes.soon.p, array.soon.p)),
        ]

        # Lanes would go on to the next tile at once: they wait for its parameters.
        m.d.comb += lanes.go_on.eq(parameters.turn)

        # Codes.
        m.submodules.residual = residual = Residual(
            depth=self.activation_depth, delay=Fetch.read_delay
        )
        m.submodules.writer = writer = WordWriter(depth=self.activation_depth)
        m.d.comb += [residual.taken.eq(sums.soon), fetch.pause.eq(residual.pause)]
        m.submodules.outputs = outputs = OutputRows(
            rows=self.rows,
            acc_width=self.acc_width,
            logits_latency=WordWriter.latency,
            multiplier_width=self.multiplier_width,
            fabric=self.fabric,
        )
        ended = Signal(outputs.latency)
        m.d.sync += ended.eq(Cat(sums.o.valid & sums.o.p.tags.end, ended))
        m.d.comb += [
            outputs.zero_point.eq(layer.writer.zero_point),
            outputs.out_max.eq(layer.array.out_max),
            outputs.parameters.eq(parameters.o),
            outputs.residual.eq(residual.o),
            outputs.i.p.eq(sums.o.p.accs),
            outputs.i.valid.eq(sums.o.valid),
            parameters.following.eq(ended[1 - ParameterLoader.latency]),
            writer.i_logits.p.eq(outputs.logit),
            writer.i_logits.valid.eq(sums.o.valid),
        ]
        m.d.comb += [sums.bias[row].eq(parameters.o[row].bias) for row in range(self.rows)]
        connect(m, outputs.o, writer.i)

        # Pool.
        m.submodules.pool = pool = WordPool(segments=self.segments, depth=self.activation_depth)
        # Stable during a pass: next to where they are used.
        pooled, separate = Signal(), Signal()
        m.d.sync += [pooled.eq(layer.pool), separate.eq(layer.separate)]
        m.d.comb += [
            pool.layer.pack.eq(layer.writer.pack),
            pool.layer.base.eq(layer.writer.base),
            pool.layer.groups.eq(layer.writer.groups),
            pool.start.eq(self.start & layer.pool),
            pool.i.p.eq(fetch.o.p),
            pool.i.valid.eq(fetch.o.valid & pooled),
            chains.i.p.eq(fetch.o.p),
            lanes.i.p.eq(fetch.o.p),
            lanes.i.valid.eq(fetch.o.valid & separate),
            chains.i.valid.eq(fetch.o.valid & ~pooled & ~separate),
            fetch.o.ready.eq(
                Mux(
                    pooled,
                    pool.i.ready,
                    Mux(separate, lanes.i.ready, chains.i.ready),
                )
            ),
        ]

        # Weights of the pass that follows, or of this one.
        ahead, begin, load = Signal(), Signal(), Signal()
        wanted = Signal()
        m.d.sync += wanted.eq(self.known & ~(self.coming.pool | self.coming.separate))
        m.d.comb += [
            begin.eq(wanted & ~ahead & loader.idle & array.i_weights.ready),
            load.eq(begin | (self.start & ~ahead & ~layer.pool)),
        ]
        m.d.sync += [
            loader.start.eq(load),
            loader.layer.eq(Mux(self.start, layer.loader, self.coming.loader)),
        ]
        with m.If(load):
            m.d.sync += [
                loaded.pack.eq(Mux(self.start, layer.array.pack, self.coming.array.pack)),
                loaded.group.eq(Mux(self.start, layer.loader.group, self.coming.loader.group)),
                loaded.separate.eq(self.start & layer.separate),
                ahead.eq(~self.start),
            ]
        with m.Elif(self.start):
            m.d.sync += ahead.eq(0)

        # Control.
        m.d.comb += [
            fetch.layer.eq(layer.fetch),
            fetch.start.eq(self.start),
            lanes.layer.eq(layer.lanes),
            lanes.start.eq(self.start),
        ]
        for block, part in (
            (parameters, layer.parameters),
            (residual, layer.residual),
            (writer, layer.writer),
        ):
            m.d.comb += [block.layer.eq(part), block.start.eq(self.start)]

        m.d.comb += [
            self.use.eq(Mux(layer.separate, lanes.use, array.use)),
            self.over.eq(Mux(separate, lanes.over, array.over)),
        ]

        # Memories.
        connect(m, loader.read, wiring.flipped(self.read_weights))
        connect(m, parameters.read, wiring.flipped(self.read_parameters))
        m.d.comb += [
            self.read_activations.enable.eq(fetch.read.enable | residual.read.enable),
            self.read_activations.address.eq(
                Mux(residual.read.enable, residual.read.address, fetch.read.address)
            ),
            fetch.read.data.eq(self.read_activations.data),
            residual.read.data.eq(self.read_activations.data),
        ]
        m.d.sync += [
            self.write_enable.eq(
                Mux(pooled, pool.write_enable.replicate(QUARTERS), writer.write_enable)
            ),
            self.write_address.eq(Mux(pooled, pool.write_address, writer.write_address)),
            self.write_data.eq(Mux(pooled, pool.write_data, writer.write_data)),
            self.done.eq(writer.done | pool.done),
        ]

        return m


class _Loaded(data.Struct):
    """What the weights belong to that the loader reads."""

    pack: 2
    group: 2
    separate: 1
