"""The accelerator with its host link: an engine behind a UART."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from downshift.hw.command_processor import CommandProcessor
from downshift.hw.config import AcceleratorConfig
from downshift.hw.engine import Engine
from downshift.hw.fabric import Fabric
from downshift.hw.frame import FrameReceiver, FrameTransmitter
from downshift.hw.protocol import MAX_FRAME
from downshift.hw.skid_buffer import SkidBuffer
from downshift.hw.slip import SlipDecoder, SlipEncoder, Symbol
from downshift.hw.table_config import TableConfig
from downshift.hw.table_engine import TableEngine
from downshift.hw.uart import UartReceiver, UartTransmitter

__all__ = ["Top"]


class Top(wiring.Component):
    """Execute requests that arrive on a UART, and reply to them; see `protocol`.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    divisor : int
        Clock cycles per bit of the UART, at least 2; on a board at least 8.
    fabric : Fabric
        What an accelerator of the table style is made of.

    Members
    -------
    rx, tx : ``In(1)``, ``Out(1)``
        The lines, synchronous to the clock, high when idle.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)

    def __init__(
        self,
        *,
        config: AcceleratorConfig | TableConfig,
        divisor: int,
        fabric: Fabric | None = None,
    ):
        self.config = config
        self.divisor = divisor
        self.fabric = fabric or Fabric()
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        # Requests.
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        m.submodules.decoder = decoder = SlipDecoder()
        m.submodules.requests = requests = FrameReceiver(size=MAX_FRAME)
        m.d.comb += receiver.rx.eq(self.rx)
        connect(m, receiver.o, decoder.i)
        connect(m, decoder.o, requests.i)

        # Execution.
        m.submodules.processor = processor = CommandProcessor(config=self.config)
        if isinstance(self.config, TableConfig):
            engine = TableEngine(config=self.config, fabric=self.fabric)
        else:
            engine = Engine(config=self.config)
        m.submodules.engine = engine
        connect(m, requests.o, processor.i)
        connect(m, processor.read, engine.read)
        if self.config.pipelined:
            m.d.sync += [
                engine.write.enable.eq(processor.write.enable),
                engine.write.address.eq(processor.write.address),
                engine.write.data.eq(processor.write.data),
            ]
        else:
            connect(m, processor.write, engine.write)
        m.d.comb += [
            requests.read_address.eq(processor.buffer_address),
            processor.buffer_data.eq(requests.read_data),
            engine.region.eq(processor.region),
            engine.start.eq(processor.start),
            engine.profile.eq(processor.profile),
            processor.done.eq(engine.done),
            processor.missing.eq(engine.missing),
            processor.counters.eq(engine.counters),
        ]

        # Replies.
        m.submodules.replies = replies = FrameTransmitter()
        m.submodules.encoder = encoder = SlipEncoder()
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.divisor)
        connect(m, processor.o, replies.i)
        if self.config.pipelined:
            m.submodules.skid = skid = SkidBuffer(shape=Symbol)
            connect(m, replies.o, skid.i)
            connect(m, skid.o, encoder.i)
        else:
            connect(m, replies.o, encoder.i)
        connect(m, encoder.o, transmitter.i)
        m.d.comb += self.tx.eq(transmitter.tx)

        return m
