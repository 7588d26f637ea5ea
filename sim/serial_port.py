"""A serial port for simulation: whole frames at once, so that Python wakes once a frame."""

from amaranth import Cat, ClockDomain, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.protocol import END
from downshift.hw.uart import UartReceiver, UartTransmitter

__all__ = ["PORT_BYTES", "SerialPort"]

PORT_BYTES = 640
"""Bytes of the largest frame on the line, escapes included."""


class SerialPort(wiring.Component):
    """Drive the UART of an accelerator that is instantiated by its module name.

    Resets the accelerator for the first cycles by itself: a reset that came from outside would make
    the simulator evaluate all logic again whenever an input changes.

    Parameters
    ----------
    divisor : int
        Clock cycles per bit.
    module : str
        Module with the ports ``clk``, ``rst``, ``rx`` and ``tx``.
    traced : bool
        Open a module ``trace_window`` while the accelerator works on a request that is watched: one
        was sent to the last bit, and of its reply not even the first is there.

    Members
    -------
    clk : ``In(1)``
    send_data, send_count : ``In(8 * PORT_BYTES)``, ``In(16)``
        Bytes to send, the first in the low bits.
    send : ``In(1)``
        Every change sends the bytes; there must be none before `done`.
    done : ``Out(1)``
        The level of `send` when the last of the bytes began to be sent.
    frames : ``Out(16)``
        Frames received so far; empty ones do not count.
    reset : ``In(1)``
        Every change resets the accelerator again.
    received_data, received_count : ``Out(8 * PORT_BYTES)``, ``Out(16)``
        Bytes received, the last in the high bits; how many, modulo their width.
    watch : ``In(1)``
        The request that is sent is watched; only if traced.
    """

    def __init__(self, *, divisor: int, module: str, traced: bool = False):
        self.divisor = divisor
        self.module = module
        self.traced = traced
        super().__init__(
            {
                "clk": In(1),
                "send_data": In(8 * PORT_BYTES),
                "send_count": In(16),
                "send": In(1),
                "done": Out(1),
                "reset": In(1),
                "frames": Out(16),
                "received_data": Out(8 * PORT_BYTES),
                "received_count": Out(16),
            }
            | ({"watch": In(1)} if traced else {})
        )

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.d.comb += sync.clk.eq(self.clk)
        resetting, was_reset = Signal(4, init=-1), Signal()
        m.d.sync += [
            resetting.eq(Mux(self.reset != was_reset, -1, resetting >> 1)),
            was_reset.eq(self.reset),
        ]

        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.divisor)
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        m.submodules.dut = Instance(
            self.module,
            i_clk=self.clk,
            i_rst=resetting[0],
            i_rx=transmitter.tx,
            o_tx=receiver.rx,
        )

        # Send.
        sent = Signal()
        left = Signal(16)
        shift = Signal(8 * PORT_BYTES)
        m.d.comb += [transmitter.i.payload.eq(shift), transmitter.i.valid.eq(left != 0)]
        with m.If(self.send != sent):
            m.d.sync += [
                sent.eq(self.send),
                left.eq(self.send_count),
                shift.eq(self.send_data),
            ]
        with m.Elif(transmitter.i.valid & transmitter.i.ready):
            m.d.sync += [left.eq(left - 1), shift.eq(shift >> 8)]
        with m.Elif(left == 0):
            m.d.sync += self.done.eq(sent)

        # Receive.
        content = Signal()  # the frame is not empty
        m.d.comb += receiver.o.ready.eq(1)
        with m.If(receiver.o.valid):
            m.d.sync += [
                self.received_data.eq(Cat(self.received_data[8:], receiver.o.payload)),
                self.received_count.eq(self.received_count + 1),
                content.eq(receiver.o.payload != END),
            ]
            with m.If(content & (receiver.o.payload == END)):
                m.d.sync += self.frames.eq(self.frames + 1)

        # Trace.
        if self.traced:
            sending, works = Signal(), Signal()
            with m.If(self.send != sent):
                m.d.sync += [sending.eq(1), works.eq(0)]
            with m.Elif(sending & (left == 0) & transmitter.i.ready):
                m.d.sync += [sending.eq(0), works.eq(1)]
            with m.Elif(~receiver.rx):
                m.d.sync += works.eq(0)
            m.submodules.window = Instance(
                "trace_window", i_clk=self.clk, i_open=works & self.watch & receiver.rx
            )

        return m
