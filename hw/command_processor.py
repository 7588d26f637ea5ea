"""The command processor: requests from a link turned into commands of the executor."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from downshift.hw.config import AcceleratorConfig
from downshift.hw.executor import Executor
from downshift.hw.fabric import Fabric
from downshift.hw.frame import Frame
from downshift.hw.protocol import (
    ALL_FEATURES,
    ARGUMENT_BYTES,
    MAX_FRAME,
    Feature,
    LinkError,
    commands_of,
)
from downshift.hw.reply import Reply
from downshift.hw.slip import Symbol
from downshift.hw.table_config import TableConfig

__all__ = ["CommandProcessor"]


class CommandProcessor(wiring.Component):
    """Execute one request at a time and reply to it.

    A request that is damaged, unknown or malformed changes nothing but what bytes of it were
    already written in their place, and is answered with an error. DATA, RUN and CASCADE are not
    done again if the lowest bit of their tag is that of the request before, which did not fail:
    they are that request, whose reply was lost.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    fabric : Fabric
        What an engine of the table style is made of.
    features : Feature
        Commands that it knows besides.

    Members
    -------
    i : ``In(stream.Signature(Frame))``
    buffer_address, buffer_data : ``Out(range(MAX_FRAME))``, ``In(8)``
        Bytes of the request, a cycle later.
    o : ``Out(stream.Signature(Symbol))``
        The reply.
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
                "i": In(stream.Signature(Frame)),
                "buffer_address": Out(range(MAX_FRAME)),
                "buffer_data": In(8),
                "o": Out(stream.Signature(Symbol)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.executor = executor = Executor(
            config=self.config, fabric=self.fabric, features=self.features
        )
        m.submodules.reply = reply = Reply(config=self.config, features=self.features)
        connect(m, reply.o, flipped(self.o))

        # Request: `byte` is the one at `at`, and `ended` says that none is there, when settled.
        self._at = Signal(range(MAX_FRAME + 1))
        self._byte = Signal(8)
        self._ended = Signal()
        self._unsettled = Signal(3)
        # No wider than the commands that are known.
        self._command = Signal(range(max(commands_of(self.features)) + 1))
        self._tag, self._error = Signal(8), Signal(LinkError)
        self._damaged = Signal()
        last_tag, last_failed = Signal(), Signal()
        self._arguments = Signal(64)  # shifted in from the top
        self._argument_bytes = {
            command: ARGUMENT_BYTES[command] for command in commands_of(self.features)
        }
        self._left = Signal(range(max(self._argument_bytes.values()) + 1))
        m.d.comb += self.buffer_address.eq(self._at)
        m.d.sync += [
            self._byte.eq(self.buffer_data),
            self._ended.eq(self._at == self.i.p.length),
            self._unsettled.eq(self._unsettled >> 1),
        ]

        # Execution and reply.
        m.d.comb += [
            executor.command.eq(self._command),
            executor.arguments.eq(self._arguments),
            executor.bare.eq(self._ended),
            executor.again.eq((self._tag[0] == last_tag) & ~last_failed),
            executor.i.p.data.eq(self._byte),
            executor.i.p.end.eq(self._ended),
            executor.i.valid.eq(self._settled),
        ]
        m.d.comb += [
            reply.tag.eq(self._tag),
            reply.command.eq(self._command),
            reply.error.eq(self._error),
            reply.count.eq(self._arguments[48:]),
            reply.loaded.eq(executor.loaded),
            reply.counters.eq(executor.counters),
            reply.first_cycles.eq(executor.first_cycles),
            reply.raised.eq(executor.raised),
            reply.read_data.eq(executor.read_data),
            executor.read_enable.eq(reply.read_enable),
        ]

        with m.FSM():
            self._parse(m)
            with m.State("Start"):
                m.d.comb += executor.start.eq(1)
                m.next = "Execute"
            with m.State("Execute"):
                with m.If(executor.i.valid & executor.i.ready):
                    self._go_on(m)
                with m.If(executor.done):
                    m.d.sync += self._error.eq(executor.error)
                    m.next = "Reply"
            with m.State("Reply"):
                m.d.comb += reply.start.eq(1)
                with m.If(~self._damaged):
                    m.d.sync += [
                        last_tag.eq(self._tag[0]),
                        last_failed.eq(self._error != LinkError.NONE),
                    ]
                m.next = "Replying"
            with m.State("Replying"), m.If(reply.done):
                m.d.comb += self.i.ready.eq(~self._damaged)
                m.next = "Idle"

        return m

    def _parse(self, m):
        """Tag, command, arguments."""
        with m.State("Idle"):
            m.d.sync += [
                self._at.eq(0),
                self._unsettled.eq(-1),
                self._tag.eq(0),
                self._command.eq(0),
                self._error.eq(self.i.p.error),
                self._damaged.eq(self.i.p.error != LinkError.NONE),
            ]
            with m.If(self.i.valid):
                m.next = "Tag"
                # A damaged frame frees the buffer at once, so that a good one may follow closely.
                with m.If(self.i.p.error != LinkError.NONE):
                    m.d.comb += self.i.ready.eq(1)
                    m.next = "Reply"

        with m.State("Tag"), m.If(self._settled):
            m.d.sync += self._tag.eq(self._byte)
            self._go_on(m)
            m.next = "Command"

        with m.State("Command"), m.If(self._settled):
            m.d.sync += self._command.eq(self._byte)
            self._go_on(m)
            m.next = "Arguments"
            with m.Switch(self._byte):
                for command, count in self._argument_bytes.items():
                    with m.Case(command):
                        m.d.sync += self._left.eq(count)
                with m.Default():
                    self._fail(m, LinkError.UNKNOWN_COMMAND)
            with m.If(self._ended):
                self._fail(m, LinkError.BAD_LENGTH)

        with m.State("Arguments"), m.If(self._settled):
            with m.If(self._left == 0):
                m.next = "Start"
            with m.Elif(self._ended):
                self._fail(m, LinkError.BAD_LENGTH)
            with m.Else():
                m.d.sync += [
                    self._arguments.eq(Cat(self._arguments[8:], self._byte)),
                    self._left.eq(self._left - 1),
                ]
                self._go_on(m)

    def _fail(self, m, error):
        m.d.sync += self._error.eq(error)
        m.next = "Reply"

    @property
    def _settled(self):
        return ~self._unsettled[0]

    def _go_on(self, m):
        """Move to the next byte of the request."""
        m.d.sync += [self._at.eq(self._at + 1), self._unsettled.eq(-1)]
