"""The command processor: requests from the link turned into accesses and frames of the engine."""

from amaranth import Array, Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from downshift.hw.block_ram import BlockRam
from downshift.hw.checksum import Checksum
from downshift.hw.config import AcceleratorConfig
from downshift.hw.counters import Counters
from downshift.hw.descriptor import PROFILES
from downshift.hw.frame import Frame
from downshift.hw.protocol import (
    ARGUMENT_BYTES,
    IMAGE_FORMAT,
    MAX_FRAME,
    PROTOCOL_VERSION,
    REPLY_BYTES,
    Command,
    LinkError,
)
from downshift.hw.region import Region
from downshift.hw.slip import Symbol
from downshift.hw.store import ByteWrite, read_port

__all__ = ["CommandProcessor"]

ALL_SECTIONS = 0b1110
READ_LATENCY = BlockRam.latency + 1
"""Most cycles that an engine takes to read a byte."""


class CommandProcessor(wiring.Component):
    """Execute one request at a time and reply to it.

    A request that is damaged, unknown or malformed changes nothing but what bytes of it were
    already written in their place, and is answered with an error.

    Parameters
    ----------
    config : AcceleratorConfig

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

    def __init__(self, *, config: AcceleratorConfig):
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

        # Request: `byte` is the one at `at`, two cycles after that moves.
        self._at = Signal(range(MAX_FRAME))
        self._byte = Signal(8)
        self._unsettled = Signal(2)
        self._tag, self._command, self._error = Signal(8), Signal(Command), Signal(LinkError)
        self._refused = Signal()  # the frame was damaged
        self._arguments = Signal(64)  # shifted in from the top
        self._left = Signal(3)
        m.d.comb += self.buffer_address.eq(self._at)
        m.d.sync += [self._byte.eq(self.buffer_data), self._unsettled.eq(self._unsettled >> 1)]

        # Image: which sections are loaded, and where the next byte goes.
        self._loading = Signal()
        self._loaded = Signal(4)
        self._address = Signal(range(max(self._sizes.values()) + 1))
        self._beyond = Signal()  # known a cycle late
        with m.Switch(self.region):
            for region, size in self._sizes.items():
                with m.Case(region):
                    m.d.sync += self._beyond.eq(self._address >= size)
        self._reply_left = Signal(16)
        m.d.comb += [
            self.write.data.eq(self._byte),
            self.write.address.eq(self._address),
            self.read.address.eq(self._address),
            self.profile.eq(self._arguments[-8:]),
            self._crc.i.payload.eq(self._byte),
        ]

        # Reply: bytes of what the command asks for, counted down.
        info = [
            *(PROTOCOL_VERSION, IMAGE_FORMAT, self._loaded, 0),
            *self.config.fingerprint.to_bytes(4, "little"),
        ]
        counters = Value.cast(self.counters)
        self._body = Signal(8)
        with m.Switch(self._command):
            with m.Case(Command.INFO):
                m.d.sync += self._body.eq(Array(info)[(-self._reply_left)[:3]])
            with m.Case(Command.RUN):
                m.d.sync += self._body.eq(counters.word_select((-self._reply_left)[:4], 8))
            with m.Default():
                m.d.sync += self._body.eq(self.read.data)

        with m.FSM():
            self._parse(m)
            with m.State("Execute"):
                self._execute(m)
            self._write(m)
            with m.State("Frame"), m.If(self.done):
                m.d.sync += self._reply_left.eq(REPLY_BYTES[Command.RUN])
                m.next = "Reply tag"
                with m.If(self.missing):
                    self._fail(m, LinkError.NO_WIDTH)
            self._answer(m)

        return m

    def _fail(self, m, error):
        m.d.sync += self._error.eq(error)
        m.next = "Reply tag"

    def _parse(self, m):
        """Tag, command, arguments."""
        with m.State("Idle"):
            m.d.sync += [
                self._at.eq(0),
                self._unsettled.eq(-1),
                self._tag.eq(0),
                self._command.eq(0),
                self._error.eq(self.i.p.error),
                self._refused.eq(self.i.p.error != LinkError.NONE),
                self._reply_left.eq(0),
            ]
            with m.If(self.i.valid):
                m.next = "Tag"
                # A damaged frame frees the buffer at once, so that a good one may follow closely.
                with m.If(self.i.p.error != LinkError.NONE):
                    m.d.comb += self.i.ready.eq(1)
                    m.next = "Reply tag"

        with m.State("Tag"), m.If(self._settled):
            m.d.sync += self._tag.eq(self._byte)
            self._go_on(m)
            m.next = "Command"
            with m.If(self.i.p.length < 2):
                self._fail(m, LinkError.BAD_LENGTH)

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

        with m.State("Arguments"), m.If(self._settled):
            with m.If(self._left == 0):
                m.next = "Execute"
            with m.Elif(self._at == self.i.p.length):
                self._fail(m, LinkError.BAD_LENGTH)
            with m.Else():
                m.d.sync += [
                    self._arguments.eq(Cat(self._arguments[8:], self._byte)),
                    self._left.eq(self._left - 1),
                ]
                self._go_on(m)

    @property
    def _settled(self):
        return self._unsettled == 0

    def _go_on(self, m):
        """Move to the next byte of the request."""
        m.d.sync += [self._at.eq(self._at + 1), self._unsettled.eq(-1)]

    def _execute(self, m):
        """Begin what the command asks for; only WRITE and DATA may have more bytes."""
        argument = self._arguments
        within = exact_log2(self.config.activation_bytes)
        more = (self._command == Command.WRITE) | (self._command == Command.DATA)
        m.d.sync += self._unsettled.eq(-1)
        m.next = "Reply tag"
        with m.If((self._at != self.i.p.length) & ~more):
            self._fail(m, LinkError.BAD_LENGTH)
        with m.Else(), m.Switch(self._command):
            with m.Case(Command.INFO):
                m.d.sync += self._reply_left.eq(REPLY_BYTES[Command.INFO])
            with m.Case(Command.WRITE):
                m.d.sync += [self.region.eq(Region.ACTIVATIONS), self._address.eq(argument[-24:])]
                m.next = "Write"
                with m.If(argument[-24:][within:].any()):
                    self._fail(m, LinkError.BAD_ADDRESS)
            with m.Case(Command.READ):
                address, length = argument[24:48], argument[48:]
                end = address[: within + 1] + length[: within + 1]
                m.d.sync += [self._address.eq(address), self._reply_left.eq(length)]
                beyond = Cat(address[within + 1 :], length[within + 1 :]).any()
                with m.If(beyond | (end > self.config.activation_bytes)):
                    self._fail(m, LinkError.BAD_ADDRESS)
            with m.Case(Command.LOAD):
                m.d.sync += self._loading.eq(0)
                with m.If(argument[24:32] != IMAGE_FORMAT):
                    self._fail(m, LinkError.WRONG_FORMAT)
                with m.Elif(argument[32:] != self.config.fingerprint):
                    self._fail(m, LinkError.WRONG_CONFIGURATION)
                with m.Else():
                    m.d.sync += [self._loading.eq(1), self._loaded.eq(0)]
            with m.Case(Command.SECTION):
                section = argument[-8:]
                with m.If(~self._loading | (section == 0) | (section >= len(Region))):
                    self._fail(m, LinkError.BAD_ADDRESS)
                with m.Else():
                    m.d.comb += self._crc.start.eq(1)
                    m.d.sync += [self.region.eq(section), self._address.eq(0)]
                    m.d.sync += self._loaded.bit_select(section[:2], 1).eq(0)
            with m.Case(Command.DATA):
                m.next = "Write"
                with m.If(~self._loading | (self.region == Region.ACTIVATIONS)):
                    self._fail(m, LinkError.BAD_ADDRESS)
            with m.Case(Command.CHECK):
                agrees = (argument[8:40] == self._crc.crc) & (argument[40:] == self._address)
                with m.If(self._loading & (self.region != Region.ACTIVATIONS) & agrees):
                    m.d.sync += self._loaded.bit_select(self.region, 1).eq(1)
                with m.Else():
                    self._fail(m, LinkError.BAD_CHECKSUM)
            with m.Case(Command.RUN):
                with m.If(self._loaded != ALL_SECTIONS):
                    self._fail(m, LinkError.NO_IMAGE)
                with m.Elif(argument[-8:] >= PROFILES):
                    self._fail(m, LinkError.NO_WIDTH)
                with m.Else():
                    m.d.comb += self.start.eq(1)
                    m.next = "Frame"

    def _write(self, m):
        """Write what remains of the request."""
        with m.State("Write"):
            with m.If(self._at == self.i.p.length):
                m.next = "Reply tag"
            with m.Elif(self._settled & self._beyond):
                self._fail(m, LinkError.BAD_ADDRESS)
            with m.Elif(self._settled & self._crc.i.ready):
                m.d.comb += [self.write.enable.eq(1), self._crc.i.valid.eq(1)]
                m.d.sync += self._address.eq(self._address + 1)
                self._go_on(m)

    def _answer(self, m):
        """Tag, command, error, then bytes of `reply` or of activation memory."""
        for state, value, following in (
            ("Reply tag", self._tag, "Reply command"),
            ("Reply command", self._command, "Reply error"),
        ):
            with m.State(state):
                m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(value)]
                with m.If(self.o.ready):
                    m.next = following

        with m.State("Reply error"):
            m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(self._error)]
            with m.If(self.o.ready):
                m.next = "Read"
                with m.If((self._error != LinkError.NONE) | (self._reply_left == 0)):
                    m.next = "Reply end"

        # `body` does not change until `reply_left` does.
        settle = Signal(range(READ_LATENCY + 1))
        with m.State("Read"):
            m.d.sync += settle.eq(READ_LATENCY)
            m.next = "Reply settle"
            with m.If(self._command == Command.READ):
                m.d.comb += self.read.enable.eq(1)
                m.d.sync += self._address.eq(self._address + 1)
        with m.State("Reply settle"):
            m.d.sync += settle.eq(settle - 1)
            with m.If(settle == 0):
                m.next = "Reply body"

        with m.State("Reply body"):
            m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(self._body)]
            with m.If(self.o.ready):
                m.d.sync += self._reply_left.eq(self._reply_left - 1)
                m.next = "Read"
                with m.If(self._reply_left == 1):
                    m.next = "Reply end"

        with m.State("Reply end"):
            m.d.comb += [self.o.valid.eq(1), self.o.p.end.eq(1)]
            with m.If(self.o.ready):
                m.d.comb += self.i.ready.eq(~self._refused)
                m.next = "Idle"
