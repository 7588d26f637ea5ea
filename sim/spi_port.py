"""An SPI controller for simulation: many bytes at once, so that Python wakes once for all."""

from amaranth import Cat, ClockDomain, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SPI_BYTES", "SpiPort"]

SPI_BYTES = 64
"""Bytes exchanged at once, at most."""


class SpiPort(wiring.Component):
    """Drive the SPI of an accelerator that is instantiated by its module name.

    Resets the accelerator for the first cycles by itself, as `SerialPort` does.

    Parameters
    ----------
    half : int
        Clock cycles of half a period of the SPI clock.
    module : str
        Module with the ports ``clk``, ``rst``, ``sck``, ``csn``, ``copi`` and ``cipo``.

    Members
    -------
    clk : ``In(1)``
    send_data, send_count : ``In(8 * SPI_BYTES)``, ``In(range(SPI_BYTES + 1))``
        Bytes to exchange, the first in the high bits.
    send : ``In(1)``
        Every change exchanges the bytes, selected from the first to the last.
    done : ``Out(1)``
        The level of `send` when all of them were.
    received_data : ``Out(8 * SPI_BYTES)``
        Bytes that came back, the last in the low bits.
    """

    def __init__(self, *, half: int, module: str):
        self.half = half
        self.module = module
        super().__init__(
            {
                "clk": In(1),
                "send_data": In(8 * SPI_BYTES),
                "send_count": In(range(SPI_BYTES + 1)),
                "send": In(1),
                "done": Out(1),
                "received_data": Out(8 * SPI_BYTES),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.d.comb += sync.clk.eq(self.clk)
        resetting = Signal(4, init=-1)
        m.d.sync += resetting.eq(resetting >> 1)

        sck, csn, cipo = Signal(), Signal(init=1), Signal()
        shift = Signal(8 * SPI_BYTES)
        m.submodules.dut = Instance(
            self.module,
            i_clk=self.clk,
            i_rst=resetting[0],
            i_sck=sck,
            i_csn=csn,
            i_copi=shift[-1],
            o_cipo=cipo,
        )

        # Two halves a bit: the rising edge in the middle, the falling one at the end.
        timer, bits = Signal(range(self.half)), Signal(range(8 * SPI_BYTES + 1))
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(bits != 0):
            m.d.sync += [timer.eq(self.half - 1), sck.eq(~sck)]
            with m.If(~sck):
                m.d.sync += self.received_data.eq(Cat(cipo, self.received_data))
            with m.Else():
                m.d.sync += [shift.eq(shift << 1), bits.eq(bits - 1)]
        with m.Elif(~csn):
            m.d.sync += [timer.eq(self.half - 1), csn.eq(1), self.done.eq(self.send)]
        with m.Elif(self.send != self.done):
            m.d.sync += [
                timer.eq(self.half - 1),
                csn.eq(0),
                shift.eq(self.send_data),
                bits.eq(Mux(self.send_count > SPI_BYTES, SPI_BYTES, self.send_count) << 3),
            ]
        return m
