"""The accelerator behind a link that carries bytes, whichever it is."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from downshift.hw.command_processor import CommandProcessor
from downshift.hw.config import AcceleratorConfig
from downshift.hw.fabric import Fabric
from downshift.hw.frame import FrameReceiver, FrameTransmitter
from downshift.hw.protocol import ALL_FEATURES, MAX_FRAME, QUEUE_BYTES, Feature
from downshift.hw.skid_buffer import SkidBuffer
from downshift.hw.slip import SlipDecoder, SlipEncoder, Symbol
from downshift.hw.table_config import TableConfig

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """Execute requests that arrive as bytes, and reply to them; see `protocol`.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    fabric : Fabric
        What an accelerator of the table style is made of.
    features : Feature
        Commands that it knows besides.

    Members
    -------
    i, o : ``In(stream.Signature(8))``, ``Out(stream.Signature(8))``
        Bytes from and to the host. One is taken at least every tenth cycle, whatever else happens.
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
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()

        # Requests.
        m.submodules.decoder = decoder = SlipDecoder()
        m.submodules.requests = requests = FrameReceiver(
            size=MAX_FRAME, queue=QUEUE_BYTES if Feature.QUEUE in self.features else 0
        )
        m.submodules.processor = processor = CommandProcessor(
            config=self.config, fabric=self.fabric, features=self.features
        )
        connect(m, flipped(self.i), decoder.i)
        connect(m, decoder.o, requests.i)
        connect(m, requests.o, processor.i)
        m.d.comb += [
            requests.read_address.eq(processor.buffer_address),
            processor.buffer_data.eq(requests.read_data),
        ]

        # Replies.
        m.submodules.replies = replies = FrameTransmitter()
        m.submodules.encoder = encoder = SlipEncoder()
        connect(m, processor.o, replies.i)
        if self.config.pipelined:
            m.submodules.skid = skid = SkidBuffer(shape=Symbol)
            connect(m, replies.o, skid.i)
            connect(m, skid.o, encoder.i)
        else:
            connect(m, replies.o, encoder.i)
        connect(m, encoder.o, flipped(self.o))

        return m
