"""The accelerator with its host link: a UART, or SPI."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect

from downshift.hw.accelerator import Accelerator
from downshift.hw.config import AcceleratorConfig
from downshift.hw.fabric import Fabric
from downshift.hw.protocol import ALL_FEATURES, Feature
from downshift.hw.spi import SpiPeripheral
from downshift.hw.table_config import TableConfig
from downshift.hw.uart import UartReceiver, UartTransmitter

__all__ = ["SpiTop", "Top"]


class Top(wiring.Component):
    """Execute requests that arrive on a UART, and reply to them; see `protocol`.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    divisor : int
        Clock cycles per bit of the UART, at least 2; on a board at least 8.
    fabric : Fabric
        What an accelerator of the table style is made of.
    features : Feature
        Commands that it knows besides.

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
        features: Feature = ALL_FEATURES,
    ):
        self.config = config
        self.divisor = divisor
        self.fabric = fabric or Fabric()
        self.features = features
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        m.submodules.core = core = Accelerator(
            config=self.config, fabric=self.fabric, features=self.features
        )
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.divisor)
        m.d.comb += receiver.rx.eq(self.rx)
        connect(m, receiver.o, core.i)
        connect(m, core.o, transmitter.i)
        m.d.comb += self.tx.eq(transmitter.tx)
        return m


class SpiTop(wiring.Component):
    """Execute requests that arrive over SPI, and reply to them; see `protocol` and `SpiPeripheral`.

    Parameters
    ----------
    config, fabric, features
        As of `Top`.

    Members
    -------
    sck, csn, copi, cipo : ``In(1)``, ``In(1)``, ``In(1)``, ``Out(1)``
        The lines, which may change at any time.
    """

    sck: In(1)
    csn: In(1, init=1)
    copi: In(1)
    cipo: Out(1)

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
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.peripheral = peripheral = SpiPeripheral()
        m.submodules.core = core = Accelerator(
            config=self.config, fabric=self.fabric, features=self.features
        )
        connect(m, peripheral.o, core.i)
        connect(m, core.o, peripheral.i)
        for name in ("sck", "csn", "copi"):
            line = getattr(peripheral, name)
            m.submodules[f"{name}_synchronizer"] = FFSynchronizer(
                getattr(self, name), line, init=line.init
            )
        m.d.comb += self.cipo.eq(peripheral.cipo)
        return m
