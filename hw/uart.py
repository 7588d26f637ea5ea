"""A UART: one start bit, eight data bits, lowest first, one stop bit."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter", "uart_bits"]


def uart_bits(byte):
    """Levels of the line, bit by bit, that carry a byte.

    Examples
    --------
    >>> uart_bits(0x05)
    [0, 1, 0, 1, 0, 0, 0, 0, 0, 1]
    """
    return [0, *(byte >> k & 1 for k in range(8)), 1]


def _check_divisor(divisor):
    if not isinstance(divisor, int) or divisor < 2:
        raise ValueError(f"Divisor must be an integer of at least 2, not {divisor!r}")


class UartReceiver(wiring.Component):
    """Receive bytes; those with a wrong stop bit are dropped.

    A byte comes `latency` cycles after the edge of its start bit. It stays until it is taken; one
    that arrives meanwhile is lost.

    Parameters
    ----------
    divisor : int
        Cycles per bit, at least 2; on a line of another clock at least 8.

    Members
    -------
    rx : ``In(1)``
        The line, synchronous to the clock.
    o : ``Out(stream.Signature(8))``
        Bytes.
    """

    o: stream.Interface

    def __init__(self, *, divisor: int):
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8))})

    @property
    def latency(self) -> int:
        """Cycles from the first low level to the byte: nine and a half bits."""
        return 9 * self.divisor + self.divisor // 2 + 1

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self.divisor))
        left = Signal(range(11))  # bits to come
        shift = Signal(8)

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        # Every bit is sampled in its middle.
        with m.If(left == 0):
            with m.If(~self.rx):
                m.d.sync += [left.eq(10), timer.eq(self.divisor // 2 - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self.divisor - 1), left.eq(left - 1)]
            with m.If((left == 10) & self.rx):
                m.d.sync += left.eq(0)  # a glitch
            with m.If(left == 1):
                with m.If(self.rx & (~self.o.valid | self.o.ready)):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(shift)]
            with m.Else():
                m.d.sync += shift.eq(Cat(shift[1:], self.rx))

        return m


class UartTransmitter(wiring.Component):
    """Transmit bytes, the twin of `uart_bits`: one every ten bits without a gap.

    Parameters
    ----------
    divisor : int
        Cycles per bit, at least 2; on a line of another clock at least 8.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes.
    tx : ``Out(1)``
        The line, high when idle; the start bit follows a cycle after `i`.
    """

    latency = 1

    i: stream.Interface

    def __init__(self, *, divisor: int):
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer, tick = Signal(range(self.divisor)), Signal(init=1)  # tick: the timer is at zero
        left, last = Signal(range(11)), Signal(init=1)  # last: one bit or none is left
        shift = Signal(10, init=-1)
        m.d.comb += [
            self.tx.eq(shift[0]),
            self.i.ready.eq(tick & last),
        ]

        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                shift.eq(Cat(0, self.i.payload, 1)),
                left.eq(10),
                last.eq(0),
                timer.eq(self.divisor - 1),
                tick.eq(0),
            ]
        with m.Elif(~tick):
            m.d.sync += [timer.eq(timer - 1), tick.eq(timer == 1)]
        with m.Elif(left != 0):
            m.d.sync += [
                shift.eq(Cat(shift[1:], 1)),
                left.eq(left - 1),
                last.eq(left <= 2),
                timer.eq(self.divisor - 1),
                tick.eq(0),
            ]

        return m
