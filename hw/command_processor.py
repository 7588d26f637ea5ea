"""The command processor: requests from the link turned into accesses and frames of the engine."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from downshift.hw.checksum import Checksum
from downshift.hw.config import AcceleratorConfig
from downshift.hw.counters import Counters
from downshift.hw.descriptor import PROFILES
from downshift.hw.frame import Frame
from downshift.hw.protocol import (
    ARGUMENT_BYTES,
    MAX_FRAME,
    ONCE,
    Command,
    LinkError,
)
from downshift.hw.region import Region
from downshift.hw.reply import Reply
from downshift.hw.request_check import RequestCheck
from downshift.hw.slip import Symbol
from downshift.hw.store import ByteWrite, read_port
from downshift.hw.table_config import TableConfig

__all__ = ["CommandProcessor"]


class CommandProcessor(wiring.Component):
    """Execute one request at a time and reply to it.

    A request that is damaged, unknown or malformed changes nothing but what bytes of it were
    already written in their place, and is answered with an error. DATA and RUN are not done again
    if the lowest bit of their tag is that of the request before, which did not fail: they are that
    request, whose reply was lost.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig

    Members
    -------
    i : ``In(stream.Signature(Frame))``
    buffer_address, buffer_data : ``Out(range(MAX_FRAME))``, ``In(8)``
        Bytes of the request, a cycle later.
    o : ``Out(stream.Signature(Symbol))``
        The reply.
    region, write, read, start, profile, done, missing, counters
        As of `Engine`, from the other side.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, config: AcceleratorConfig | TableConfig):
        self.config = config
        self._sizes = {
            region: word_bytes * depth for region, (word_bytes, depth) in config.regions.items()
        }
        super().__init__(
            {
                "i": In(stream.Signature(Frame)),
                "buffer_address": Out(range(MAX_FRAME)),
                "buffer_data": In(8),
                "o": Out(stream.Signature(Symbol)),
                "region": Out(Region),
                "write": Out(ByteWrite),
                "read": Out(read_port(config.activation_bytes, 8)),
                "start": Out(1),
                "profile": Out(range(PROFILES)),
                "done": In(1),
                "missing": In(1),
                "counters": In(Counters),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = self._crc = Checksum()
        m.submodules.check = check = RequestCheck(config=self.config)
        m.submodules.reply = reply = Reply(config=self.config)
        connect(m, reply.o, flipped(self.o))

        # Request: `byte` is the one at `at`, and `ended` says that none is there, when settled.
        self._at = Signal(range(MAX_FRAME + 1))
        self._byte = Signal(8)
        self._ended = Signal()
        self._unsettled = Signal(3)
        self._tag, self._command, self._error = Signal(8), Signal(Command), Signal(LinkError)
        self._damaged = Signal()
        last_tag, last_failed = Signal(), Signal()
        again = (self._tag[0] == last_tag) & ~last_failed
        self._arguments = Signal(64)  # shifted in from the top
        self._left = Signal(3)
        m.d.comb += self.buffer_address.eq(self._at)
        m.d.sync += [
            self._byte.eq(self.buffer_data),
            self._ended.eq(self._at == self.i.p.length),
            self._unsettled.eq(self._unsettled >> 1),
        ]

        # Image: which sections are loaded, and where the next byte goes.
        self._loading = Signal()
        self._loaded = Signal(4)
        address = Signal(range(max(self._sizes.values()) + 1))
        self._beyond = Signal()
        size = Signal.like(address)
        with m.Switch(self.region):
            for region, count in self._sizes.items():
                with m.Case(region):
                    m.d.sync += size.eq(count)
        m.d.sync += [self._beyond.eq(address >= size), self.write.enable.eq(0)]
        with m.If(self.write.enable | reply.read_enable):
            m.d.sync += address.eq(address + 1)
        m.d.comb += [
            self.write.data.eq(self._byte),
            self.write.address.eq(address),
            self.read.address.eq(address),
            self.profile.eq(self._arguments[-8:]),
            self._crc.i.payload.eq(self._byte),
            check.command.eq(self._command),
            check.arguments.eq(self._arguments),
            check.ended.eq(self._ended),
            check.loading.eq(self._loading),
            check.loaded.eq(self._loaded),
            check.region.eq(self.region),
            check.address.eq(address),
            check.crc.eq(self._crc.crc),
        ]
        m.d.comb += [
            reply.tag.eq(self._tag),
            reply.command.eq(self._command),
            reply.error.eq(self._error),
            reply.count.eq(self._arguments[48:]),
            reply.loaded.eq(self._loaded),
            reply.counters.eq(self.counters),
            reply.read_data.eq(self.read.data),
            self.read.enable.eq(reply.read_enable),
        ]
        self._settle = Signal(range(RequestCheck.latency + 1))
        begin = self._begin(m, address)

        with m.FSM():
            self._parse(m)
            with m.State("Check"):
                m.d.sync += self._settle.eq(self._settle - 1)
                with m.If(self._settle == 0):
                    m.next = "Execute"
            with m.State("Execute"):
                m.d.sync += self._unsettled.eq(-1)
                m.next = "Reply"
                with m.If(check.refused):
                    m.d.sync += self._error.eq(check.error)
                with m.Elif(~again | ~self._command.matches(*ONCE)):
                    m.d.sync += begin.eq(1 << self._command)
                    with m.Switch(self._command):
                        with m.Case(Command.WRITE, Command.DATA):
                            m.next = "Write"
                        with m.Case(Command.RUN):
                            m.next = "Frame"
            self._write(m)
            with m.State("Frame"), m.If(self.done):
                m.next = "Reply"
                with m.If(self.missing):
                    m.d.sync += self._error.eq(LinkError.NO_WIDTH)
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

    def _begin(self, m, address):
        """What each command sets, a cycle after a bit of the result says so."""
        begin = Signal(len(Command))
        argument = self._arguments
        m.d.sync += begin.eq(0)
        m.d.comb += [
            self.start.eq(begin[Command.RUN]),
            self._crc.start.eq(begin[Command.SECTION]),
        ]
        with m.If(begin[Command.WRITE]):
            m.d.sync += [self.region.eq(Region.ACTIVATIONS), address.eq(argument[-24:])]
        with m.If(begin[Command.READ]):
            m.d.sync += address.eq(argument[24:48])
        with m.If(begin[Command.LOAD]):
            m.d.sync += [self._loading.eq(1), self._loaded.eq(0)]
        with m.If(begin[Command.SECTION]):
            section = argument[56:58]
            m.d.sync += [self.region.eq(section), address.eq(0)]
            m.d.sync += self._loaded.bit_select(section, 1).eq(0)
        with m.If(begin[Command.CHECK]):
            m.d.sync += self._loaded.bit_select(self.region, 1).eq(1)
        return begin

    def _fail(self, m, error):
        m.d.sync += self._error.eq(error)
        m.next = "Reply"

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
                for command, count in ARGUMENT_BYTES.items():
                    with m.Case(command):
                        m.d.sync += self._left.eq(count)
                with m.Default():
                    self._fail(m, LinkError.UNKNOWN_COMMAND)
            with m.If(self._ended):
                self._fail(m, LinkError.BAD_LENGTH)

        with m.State("Arguments"), m.If(self._settled):
            with m.If(self._left == 0):
                m.d.sync += self._settle.eq(RequestCheck.latency)
                m.next = "Check"
            with m.Elif(self._ended):
                self._fail(m, LinkError.BAD_LENGTH)
            with m.Else():
                m.d.sync += [
                    self._arguments.eq(Cat(self._arguments[8:], self._byte)),
                    self._left.eq(self._left - 1),
                ]
                self._go_on(m)

    @property
    def _settled(self):
        return ~self._unsettled[0]

    def _go_on(self, m):
        """Move to the next byte of the request."""
        m.d.sync += [self._at.eq(self._at + 1), self._unsettled.eq(-1)]

    def _write(self, m):
        """Write what remains of the request."""
        with m.State("Write"), m.If(self._settled):
            with m.If(self._ended):
                m.next = "Reply"
            with m.Elif(self._beyond):
                self._fail(m, LinkError.BAD_ADDRESS)
            with m.Elif(self._crc.i.ready):
                m.d.comb += self._crc.i.valid.eq(1)
                m.d.sync += self.write.enable.eq(1)
                self._go_on(m)
