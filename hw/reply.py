"""The reply: what the host is told about a request, byte by byte."""

from amaranth import Array, Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from downshift.hw.block_ram import BlockRam
from downshift.hw.config import AcceleratorConfig
from downshift.hw.counters import COUNTER_WIDTH, Counters
from downshift.hw.protocol import (
    IMAGE_FORMAT,
    PROTOCOL_VERSION,
    REPLY_BYTES,
    Command,
    Feature,
    LinkError,
)
from downshift.hw.slip import Symbol
from downshift.hw.table_config import TableConfig

__all__ = ["Reply"]

SETTLE = BlockRam.latency + 5
"""Cycles until a byte is known: those that an engine takes to read it, and ours."""


class Reply(wiring.Component):
    """Send tag, command and error, and without an error what the command asks for.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    features : Feature
        As of `CommandProcessor`.

    Members
    -------
    start : ``In(1)``
        Begin. What it says must not change until `done`.
    done : ``Out(1)``
        The end of the reply has been taken.
    tag, command, error : ``In(8)``, ``In(Command)``, ``In(LinkError)``
    count : ``In(16)``
        Bytes that READ asks for.
    loaded, counters : ``In(4)``, ``In(Counters)``
        What INFO and RUN ask for.
    first_cycles, raised : ``In(COUNTER_WIDTH)``, ``In(1)``
        What CASCADE tells besides.
    read_enable, read_data : ``Out(1)``, ``In(8)``
        The next byte that READ asks for; in `SETTLE` cycles.
    o : ``Out(stream.Signature(Symbol))``
    """

    o: stream.Interface

    def __init__(self, *, config: AcceleratorConfig | TableConfig, features: Feature):
        self.config = config
        self.features = features
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "tag": In(8),
                "command": In(Command),
                "error": In(LinkError),
                "count": In(16),
                "loaded": In(4),
                "counters": In(Counters),
                "first_cycles": In(COUNTER_WIDTH),
                "raised": In(1),
                "read_enable": Out(1),
                "read_data": In(8),
                "o": Out(stream.Signature(Symbol)),
            }
        )

    def elaborate(self, platform):
        m = Module()

        # Bytes of what the command asks for, and how many are left.
        left, over = Signal(16), Signal()
        index = Signal(ceil_log2(REPLY_BYTES[Command.CASCADE]))
        info = [
            *(PROTOCOL_VERSION, IMAGE_FORMAT, self.loaded, self.features),
            *self.config.fingerprint.to_bytes(4, "little"),
        ]
        counted, body = Signal(8), Signal(8)
        # The index ends with the last byte that there may be.
        counts = {Command.RUN: self.counters.as_value()}
        if Feature.CASCADE in self.features:
            counts[Command.CASCADE] = Cat(
                self.counters, self.first_cycles, self.raised, Const(0, 7)
            )
        m.d.sync += [
            over.eq((self.error != LinkError.NONE) | (left == 0)),
            index.eq(-left),
            self.read_enable.eq(0),
        ]
        with m.Switch(self.command):
            for command, value in counts.items():
                with m.Case(command):
                    whole = Cat(Const(0, (8 << len(index)) - len(value)), value)
                    m.d.sync += counted.eq(whole.word_select(index, 8))
        with m.Switch(self.command):
            with m.Case(Command.INFO):
                m.d.sync += body.eq(Array(info)[index[:3]])
            with m.Case(*counts):
                m.d.sync += body.eq(counted)
            with m.Default():
                m.d.sync += body.eq(self.read_data)

        step = Signal(range(4))
        in_body = step == 3
        m.d.sync += self.o.p.data.eq(Array([self.tag, self.command, self.error, body])[step])
        settle = Signal(range(SETTLE + 1))
        with m.FSM():
            with m.State("Idle"):
                m.d.sync += [step.eq(0), left.eq(0)]
                with m.Switch(self.command):
                    for command, count in REPLY_BYTES.items():
                        with m.Case(command):
                            m.d.sync += left.eq(count)
                    with m.Case(Command.READ):
                        m.d.sync += left.eq(self.count)
                with m.If(self.start):
                    m.next = "Read"

            with m.State("Read"):
                m.d.sync += settle.eq(SETTLE)
                m.next = "Settle"
                with m.If(in_body & (self.command == Command.READ) & ~over):
                    m.d.sync += self.read_enable.eq(1)

            with m.State("Settle"):
                m.d.sync += settle.eq(settle - 1)
                with m.If(settle == 0):
                    m.next = "Byte"
                    with m.If(in_body & over):
                        m.next = "End"

            with m.State("Byte"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "Read"
                    with m.If(in_body):
                        m.d.sync += left.eq(left - 1)
                    with m.Else():
                        m.d.sync += step.eq(step + 1)

            with m.State("End"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.end.eq(1)]
                with m.If(self.o.ready):
                    m.d.comb += self.done.eq(1)
                    m.next = "Idle"

        return m
