# amaranth: UnusedElaboratable=no
import pytest
from amaranth.sim import Simulator

from downshift.hw.uart import UartReceiver, UartTransmitter, uart_bits

BYTES = [0x00, 0xFF, 0x55, 0xA3, 0x01, 0x80]


def receive(dut, levels, n_bytes):
    """Bytes that come from levels, one a cycle, and the cycle of each."""
    taken = []

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle, level in enumerate([*levels, *[1] * 4 * dut.divisor]):
            ctx.set(dut.rx, level)
            _, _, valid, byte = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                taken.append((cycle, byte))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(taken) == n_bytes
    return taken


def levels_of(values, divisor):
    return [bit for byte in values for bit in uart_bits(byte) for _ in range(divisor)]


@pytest.mark.parametrize("divisor", [2, 3, 5, 25])
def test_receiver_equals_golden(divisor):
    dut = UartReceiver(divisor=divisor)
    taken = receive(dut, levels_of(BYTES, divisor), len(BYTES))
    assert [byte for _, byte in taken] == BYTES
    assert taken[0][0] == dut.latency


@pytest.mark.parametrize("drift", [0.97, 1.03])
def test_receiver_bears_a_clock_that_is_off(drift):
    divisor = 25
    bits = [bit for byte in BYTES for bit in (*uart_bits(byte), 1)]
    cycles = int(len(bits) * divisor * drift)
    levels = [bits[min(int(c / divisor / drift), len(bits) - 1)] for c in range(cycles)]
    taken = receive(UartReceiver(divisor=divisor), levels, len(BYTES))
    assert [byte for _, byte in taken] == BYTES


def test_receiver_drops_a_wrong_stop_bit_and_a_glitch():
    divisor = 8
    broken = [0] * 10 * divisor + [1] * divisor  # a break
    levels = [0, *[1] * 20, *broken, *levels_of([0x5A], divisor)]
    taken = receive(UartReceiver(divisor=divisor), levels, 1)
    assert taken[0][1] == 0x5A


@pytest.mark.parametrize("divisor", [2, 7])
def test_transmitter_equals_golden(divisor):
    dut = UartTransmitter(divisor=divisor)
    levels = []

    async def sample(ctx):
        async for _, _, tx in ctx.tick().sample(dut.tx):
            levels.append(tx)

    async def bench(ctx):
        for byte in BYTES:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(12 * divisor)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(sample, background=True)
    simulator.add_testbench(bench)
    simulator.run()
    expected = levels_of(BYTES, divisor)
    start = levels.index(0)
    assert start == dut.latency
    assert levels[start : start + len(expected)] == expected
    assert set(levels[start + len(expected) :]) == {1}


@pytest.mark.parametrize("block", [UartReceiver, UartTransmitter])
def test_refuses(block):
    with pytest.raises(ValueError, match=r"^Divisor must be an integer of at least 2, not 1$"):
        block(divisor=1)
