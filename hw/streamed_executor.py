"""An executor whose bytes come and go over streams, as they do on chip."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.config import AcceleratorConfig
from downshift.hw.counters import COUNTER_WIDTH, Counters
from downshift.hw.executor import BODIES, Executor
from downshift.hw.fabric import Fabric
from downshift.hw.protocol import ALL_FEATURES, Command, Feature, LinkError, commands_of
from downshift.hw.reply import SETTLE
from downshift.hw.table_config import TableConfig

__all__ = ["Beat", "StreamedExecutor"]


class Beat(data.Struct):
    """A byte of a stream."""

    data: 8
    last: 1
    """No other belongs to it."""


class StreamedExecutor(wiring.Component):
    """Do one command at a time, from its start to the last of its bytes.

    WRITE and DATA take the bytes up to the one that is `last`, one a cycle, also if they are
    refused. READ gives as many as it is asked for, one every `SETTLE` + 2 cycles at most.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    fabric : Fabric
        What an engine of the table style is made of.
    features : Feature
        Commands that it knows besides.

    Members
    -------
    start : ``In(1)``
        Begin a command, while none is being done. What it says must not change before it ends.
    command, arguments : ``In(8)``, ``In(64)``
        As of `Executor`, but that any number may be a command.
    length : ``In(24)``
        Bytes that READ is to give; logits of CASCADE.
    busy, ended, error : ``Out(1)``, ``Out(1)``, ``Out(LinkError)``
        A command is being done; it ended in the cycle before; how the last one did.
    loaded, counters, first_cycles, raised
        As of `Executor`.
    i, o : ``In(stream.Signature(Beat))``, ``Out(stream.Signature(Beat))``
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        config: AcceleratorConfig | TableConfig,
        fabric: Fabric | None = None,
        features: Feature = ALL_FEATURES,
    ):
        self.config = config
        self.fabric = fabric or Fabric()
        self.features = features
        super().__init__(
            {
                "start": In(1),
                "command": In(8),
                "arguments": In(64),
                "length": In(24),
                "busy": Out(1),
                "ended": Out(1),
                "error": Out(LinkError),
                "loaded": Out(4),
                "counters": Out(Counters),
                "first_cycles": Out(COUNTER_WIDTH),
                "raised": Out(1),
                "i": In(stream.Signature(Beat)),
                "o": Out(stream.Signature(Beat)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.executor = executor = Executor(
            config=self.config,
            fabric=self.fabric,
            checksum_bits=8,
            features=self.features,
        )
        body, over = Signal(), Signal()  # bytes come; the last of them has
        reads, left = Signal(), Signal(16)
        settle = Signal(range(SETTLE + 1))
        m.d.comb += [
            body.eq(self.command.matches(*BODIES)),
            reads.eq(self.command == Command.READ),
            executor.command.eq(self.command),
            executor.arguments.eq(self.arguments),
            executor.bare.eq(1),
            executor.i.p.data.eq(self.i.p.data),
            executor.i.p.end.eq(over),
            executor.i.valid.eq(over | self.i.valid),
            self.loaded.eq(executor.loaded),
            self.counters.eq(executor.counters),
            self.first_cycles.eq(executor.first_cycles),
            self.raised.eq(executor.raised),
        ]
        m.d.sync += self.ended.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += over.eq(self.i.p.last)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        def end(error):
            m.d.sync += [self.busy.eq(0), self.ended.eq(1), self.error.eq(error)]
            m.next = "Idle"

        with m.FSM():
            with m.State("Idle"):
                m.d.sync += over.eq(0)
                with m.If(self.start):
                    m.d.sync += [self.busy.eq(1), self.error.eq(LinkError.NONE)]
                    m.next = "Judge"

            with m.State("Judge"):
                m.next = "Execute"
                with m.If(~self.command.matches(*commands_of(self.features))):
                    end(LinkError.UNKNOWN_COMMAND)
                with m.Elif(reads & self.length[len(left) :].any()):
                    end(LinkError.BAD_LENGTH)
                with m.Elif((self.command == Command.CASCADE) & self.length[8:].any()):
                    end(LinkError.BAD_LENGTH)
                with m.Else():
                    m.d.comb += executor.start.eq(1)

            with m.State("Execute"):
                m.d.comb += self.i.ready.eq(executor.i.ready & ~over)
                m.d.sync += left.eq(self.length)
                with m.If(executor.done):
                    m.d.sync += self.error.eq(executor.error)
                    with m.If(body & ~over):
                        m.next = "Drain"
                    with m.Elif(reads & (executor.error == LinkError.NONE)):
                        m.next = "Begin"
                    with m.Else():
                        end(executor.error)

            with m.State("Drain"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & self.i.p.last):
                    end(self.error)

            with m.State("Begin"):
                m.next = "Address"
            with m.State("Address"):
                m.next = "Read"

            with m.State("Read"):
                m.d.sync += settle.eq(SETTLE)
                with m.If(left != 0):
                    m.d.comb += executor.read_enable.eq(1)
                    m.next = "Settle"
                with m.Elif(~self.o.valid):
                    end(LinkError.NONE)

            with m.State("Settle"):
                with m.If(settle != 0):
                    m.d.sync += settle.eq(settle - 1)
                with m.Elif(~self.o.valid):
                    m.d.sync += [
                        self.o.valid.eq(1),
                        self.o.p.data.eq(executor.read_data),
                        self.o.p.last.eq(left == 1),
                        left.eq(left - 1),
                    ]
                    m.next = "Read"

        return m
