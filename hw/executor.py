"""The executor: commands judged, and done on the engine."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from downshift.hw.checksum import Checksum
from downshift.hw.config import AcceleratorConfig
from downshift.hw.counters import COUNTER_WIDTH, Counters
from downshift.hw.engine import Engine
from downshift.hw.fabric import Fabric
from downshift.hw.frame_runner import FrameRunner
from downshift.hw.protocol import ALL_FEATURES, ONCE, Command, Feature, LinkError
from downshift.hw.region import Region
from downshift.hw.reply import SETTLE
from downshift.hw.request_check import RequestCheck
from downshift.hw.slip import Symbol
from downshift.hw.store import ByteWrite
from downshift.hw.table_config import TableConfig
from downshift.hw.table_engine import TableEngine

__all__ = ["BODIES", "Executor"]

BODIES = (Command.WRITE, Command.DATA)
"""Commands whose arguments bytes follow."""


class Executor(wiring.Component):
    """An engine, and what is needed to do one command at a time on it.

    A command that is refused changes nothing; one whose bytes turn out too many has written those
    that fit.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    fabric : Fabric
        What an engine of the table style is made of.
    checksum_bits : int
        Bits of a section that its checksum takes in a cycle: with 8, a byte is taken every cycle,
        with 1 every ninth.
    features : Feature
        Commands that it knows besides.

    Members
    -------
    start : ``In(1)``
        Begin a command. What it says must not change until the cycle after `done`.
    command, arguments : ``In(Command)``, ``In(64)``
        The arguments end at the top.
    bare : ``In(1)``
        Nothing follows the arguments.
    again : ``In(1)``
        It is the command before, which was done: of what is done but `ONCE`, only judge it.
    i : ``In(stream.Signature(Symbol))``
        The bytes that follow the arguments of one of `BODIES`, and their end, which stays there.
    done, error : ``Out(1)``, ``Out(LinkError)``
        The command has ended, and how; for one cycle.
    loaded, counters : ``Out(4)``, ``Out(Counters)``
        Sections that are loaded; counts of the last frame.
    first_cycles, raised : ``Out(COUNTER_WIDTH)``, ``Out(1)``
        What CASCADE tells besides.
    read_enable, read_data : ``In(1)``, ``Out(8)``
        The next byte from the address of READ on, `SETTLE` cycles of `Reply` later.
    """

    i: stream.Interface

    def __init__(
        self,
        *,
        config: AcceleratorConfig | TableConfig,
        fabric: Fabric | None = None,
        checksum_bits: int = 1,
        features: Feature = ALL_FEATURES,
    ):
        self.config = config
        self.fabric = fabric or Fabric()
        self.checksum_bits = checksum_bits
        self.features = features
        self._sizes = {
            region: word_bytes * depth for region, (word_bytes, depth) in config.regions.items()
        }
        super().__init__(
            {
                "start": In(1),
                "command": In(Command),
                "arguments": In(64),
                "bare": In(1),
                "again": In(1),
                "i": In(stream.Signature(Symbol)),
                "done": Out(1),
                "error": Out(LinkError),
                "loaded": Out(4),
                "counters": Out(Counters),
                "first_cycles": Out(COUNTER_WIDTH),
                "raised": Out(1),
                "read_enable": In(1),
                "read_data": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.crc = self._crc = Checksum(bits=self.checksum_bits)
        m.submodules.check = check = RequestCheck(config=c, features=self.features)
        scrubbing, cascading = (each in self.features for each in (Feature.SCRUB, Feature.CASCADE))
        style = TableEngine if isinstance(c, TableConfig) else Engine
        engine = style(config=c, fabric=self.fabric, scrubbing=scrubbing)
        m.submodules.engine = engine
        m.submodules.frames = frames = FrameRunner(cascading=cascading)

        # What is written, and where the next byte goes.
        self._region = Signal(Region)
        self._address = Signal(range(max(self._sizes.values()) + 1))
        self._beyond = Signal()  # no byte of the region is there
        self._loading = Signal()
        last = Signal.like(self._address)
        with m.Switch(self._region):
            for region, size in self._sizes.items():
                with m.Case(region):
                    m.d.sync += last.eq(size - 1)
        write = ByteWrite.create()
        scrubbed = Signal()
        with m.If(write.enable | engine.read.enable | scrubbed):
            m.d.sync += self._address.eq(self._address + 1)
        with m.If(write.enable | scrubbed):
            m.d.sync += self._beyond.eq(self._address == last)

        # The engine.
        settle = Signal(range((SETTLE if scrubbing else RequestCheck.latency) + 1))
        begin = Signal(len(Command))
        if c.pipelined:
            m.d.sync += [
                engine.write.enable.eq(write.enable),
                engine.write.address.eq(write.address),
                engine.write.data.eq(write.data),
            ]
        else:
            connect(m, write, engine.write)
        m.d.comb += [
            write.address.eq(self._address),
            write.data.eq(self.i.p.data),
            engine.region.eq(self._region),
            engine.read.address.eq(self._address),
            engine.read.enable.eq(self.read_enable | frames.read_enable),
            engine.section.start.eq(begin[Command.SCRUB]),
            engine.section.next.eq(scrubbed),
            self.read_data.eq(engine.read.data),
            self.counters.eq(engine.counters),
        ]

        # Frames.
        m.d.comb += [
            frames.start.eq(begin[Command.RUN] | begin[Command.CASCADE]),
            frames.cascade.eq(self.command == Command.CASCADE),
            frames.arguments.eq(self.arguments),
            engine.start.eq(frames.engine_start),
            engine.profile.eq(frames.profile),
            frames.engine_done.eq(engine.done),
            frames.missing.eq(engine.missing),
            frames.counters.eq(engine.counters),
            frames.read_data.eq(engine.read.data),
            self.first_cycles.eq(frames.first_cycles),
            self.raised.eq(frames.raised),
        ]
        with m.If(frames.read_start):
            m.d.sync += [
                self._region.eq(Region.ACTIVATIONS),
                self._address.eq(self.arguments[32:56]),
            ]

        # What is known of the command.
        m.d.comb += [
            check.command.eq(self.command),
            check.arguments.eq(self.arguments),
            check.ended.eq(self.bare),
            check.loading.eq(self._loading),
            check.loaded.eq(self.loaded),
            check.region.eq(self._region),
            check.address.eq(self._address),
            check.crc.eq(self._crc.crc),
        ]
        m.d.sync += [begin.eq(0), engine.section.enable.eq(0)]
        self._begin(m, begin, engine)

        with m.FSM():
            with m.State("Idle"):
                m.d.sync += settle.eq(RequestCheck.latency)
                with m.If(self.start):
                    m.next = "Check"
            with m.State("Check"):
                m.d.sync += settle.eq(settle - 1)
                with m.If(settle == 0):
                    m.next = "Execute"
            with m.State("Execute"):
                m.d.sync += settle.eq(RequestCheck.latency)
                with m.If(check.refused):
                    self._end(m, check.error)
                with m.Elif(self.again & self.command.matches(*ONCE)):
                    self._end(m)
                with m.Else():
                    m.d.sync += begin.eq(1 << self.command)
                    with m.Switch(self.command):
                        with m.Case(*BODIES):
                            m.next = "Settle"
                        with m.Case(Command.RUN, Command.CASCADE):
                            m.next = "Frame"
                        if scrubbing:
                            with m.Case(Command.SCRUB):
                                m.d.sync += settle.eq(SETTLE)
                                m.next = "Scrub"
                        with m.Default():
                            self._end(m)
            with m.State("Settle"):
                m.d.sync += settle.eq(settle - 1)
                with m.If(settle == 0):
                    m.next = "Write"
            with m.State("Write"), m.If(self.i.valid):
                with m.If(self.i.p.end):
                    self._end(m)
                with m.Elif(self._beyond):
                    self._end(m, LinkError.BAD_ADDRESS)
                with m.Else():
                    m.d.comb += [
                        self._crc.i.valid.eq(1),
                        self.i.ready.eq(self._crc.i.ready),
                        write.enable.eq(self._crc.i.ready),
                    ]
            with m.State("Frame"), m.If(frames.done):
                self._end(m, frames.error)
            if scrubbing:
                with m.State("Scrub"):
                    m.d.sync += [settle.eq(settle - 1), engine.section.enable.eq(1)]
                    with m.If(settle == 0):
                        m.d.sync += settle.eq(SETTLE)
                        with m.If(~check.other_length):
                            m.next = "Judge"
                        with m.Elif(self._beyond):
                            m.d.sync += self._region.eq(Region.ACTIVATIONS)
                            self._end(m, LinkError.BAD_ADDRESS)
                        with m.Elif(self._crc.i.ready):
                            m.d.comb += [self._crc.i.valid.eq(1), scrubbed.eq(1)]
                with m.State("Judge"), m.If(self._crc.i.ready):
                    m.d.sync += settle.eq(settle - 1)
                    with m.If(settle == 0):
                        m.d.sync += self._region.eq(Region.ACTIVATIONS)
                        self._end(m)
                        with m.If(check.other_crc):
                            self._end(m, LinkError.BAD_CHECKSUM)
                            m.d.sync += self.loaded.bit_select(self._region, 1).eq(0)

        return m

    def _end(self, m, error=LinkError.NONE):
        m.d.comb += [self.done.eq(1), self.error.eq(error)]
        m.next = "Idle"

    def _begin(self, m, begin, engine):
        """What each command sets, a cycle after a bit says that it begins."""
        argument, region, address = self.arguments, self._region, self._address
        m.d.comb += [
            self._crc.start.eq(begin[Command.SECTION] | begin[Command.SCRUB]),
            self._crc.i.payload.eq(self.i.p.data),
        ]
        if Feature.SCRUB in self.features:
            with m.If(self.command == Command.SCRUB):
                m.d.comb += self._crc.i.payload.eq(engine.section.data)
            with m.If(begin[Command.SCRUB]):
                m.d.sync += [region.eq(argument[:2]), address.eq(0)]
        with m.If(begin[Command.WRITE]):
            m.d.sync += [region.eq(Region.ACTIVATIONS), address.eq(argument[-24:])]
        with m.If(begin[Command.READ]):
            m.d.sync += [region.eq(Region.ACTIVATIONS), address.eq(argument[24:48])]
        with m.If(begin[Command.LOAD]):
            m.d.sync += [self._loading.eq(1), self.loaded.eq(0)]
        with m.If(begin[Command.SECTION]):
            section = argument[56:58]
            m.d.sync += [region.eq(section), address.eq(0)]
            m.d.sync += self.loaded.bit_select(section, 1).eq(0)
        with m.If(begin[Command.CHECK]):
            m.d.sync += self.loaded.bit_select(region, 1).eq(1)
        with m.If(
            begin[Command.WRITE]
            | begin[Command.READ]
            | begin[Command.SECTION]
            | begin[Command.SCRUB]
        ):
            m.d.sync += self._beyond.eq(0)
