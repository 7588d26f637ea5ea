# amaranth: UnusedElaboratable=no
import pytest
from amaranth import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class StandIn(wiring.Component):
    """Stands for the accelerator, with everything that a board's tools must map, but small."""

    rx: In(1)
    tx: Out(1)

    def __init__(self, *, weight_depth=8192):
        self.weight_depth = weight_depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        history = Signal(32)
        product = Signal(signed(48))
        m.d.sync += [
            history.eq(Cat(history[1:], self.rx)),
            product.eq(history[:32].as_signed() * history[7:23].as_signed()),
        ]

        # One address for reading and writing: fits a single-port memory.
        m.submodules.weights = weights = Memory(shape=32, depth=self.weight_depth, init=[])
        weight_write = weights.write_port(granularity=8)
        weight_read = weights.read_port()
        address = Signal(range(self.weight_depth))
        writing = Signal()
        lane = Signal(2)
        m.d.sync += [address.eq(product), writing.eq(self.rx), lane.eq(product[20:])]
        m.d.comb += [
            weight_write.addr.eq(address),
            weight_read.addr.eq(address),
            weight_read.en.eq(~writing),
            weight_write.data.eq(history),
        ]
        for index in range(4):
            m.d.comb += weight_write.en[index].eq(writing & (lane == index))

        # Two addresses: needs a port for each.
        m.submodules.sums = sums = Memory(shape=16, depth=512, init=[])
        sum_write, sum_read = sums.write_port(), sums.read_port()
        m.d.comb += [
            sum_write.addr.eq(product[3:]),
            sum_write.data.eq(product[16:]),
            sum_write.en.eq(history[0]),
            sum_read.addr.eq(history[9:]),
            sum_read.en.eq(1),
        ]

        m.d.sync += self.tx.eq(weight_read.data.xor() ^ sum_read.data.xor())
        return m


@pytest.fixture
def make_stand_in():
    """Called as `downshift.hw.top.Top`."""
    return lambda config, divisor, features, fabric=None: StandIn()


@pytest.fixture
def make_large_stand_in():
    """The same, with more memory than an iCE40 has."""
    return lambda config, divisor, features, fabric=None: StandIn(weight_depth=1 << 17)
