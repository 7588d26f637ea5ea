"""The SPI peripheral and a controller."""

import pytest
from amaranth.sim import Simulator

from downshift.hw.protocol import END
from downshift.hw.spi import SpiPeripheral

HALF = 4
"""Cycles of half a period."""


def exchange(selections, sending):
    """What the controller gets, bit by bit, and the peripheral, byte by byte.

    `selections` are lists of bits that the controller sends while it selects the peripheral.
    """
    dut = SpiPeripheral()
    got, received = [], []

    async def control(ctx):
        await ctx.tick().repeat(10)
        for bits in selections:
            ctx.set(dut.csn, 0)
            await ctx.tick().repeat(HALF)
            seen = []
            for bit in bits:
                ctx.set(dut.copi, bit)
                await ctx.tick().repeat(HALF)
                seen.append(ctx.get(dut.cipo))
                ctx.set(dut.sck, 1)
                await ctx.tick().repeat(HALF)
                ctx.set(dut.sck, 0)
            await ctx.tick().repeat(HALF)
            ctx.set(dut.csn, 1)
            await ctx.tick().repeat(HALF)
            got.append(seen)

    async def send(ctx):
        for byte in sending:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def receive(ctx):
        ctx.set(dut.o.ready, 1)
        while True:
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                received.append(payload)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(control)
    simulator.add_testbench(send, background=True)
    simulator.add_testbench(receive, background=True)
    simulator.run()
    return got, received


def bits(*values):
    return [value >> 7 - k & 1 for value in values for k in range(8)]


@pytest.mark.parametrize("sizes", [(4,), (1, 1, 1, 1), (3, 1)])
def test_a_byte_for_a_byte(sizes):
    out, back = [0x12, 0x80, 0xFF, 0x01], [0xA5, 0x00, 0x7E, 0x81]
    selections, start = [], 0
    for size in sizes:
        selections.append(bits(*out[start : start + size]))
        start += size
    got, received = exchange(selections, back)
    assert [bit for seen in got for bit in seen] == bits(*back)
    assert received == out


def test_nothing_to_send_is_end():
    got, received = exchange([bits(END, END)], [])
    assert got == [bits(END, END)]
    assert received == [END, END]


@pytest.mark.parametrize("count", range(1, 8))
def test_a_byte_under_way_is_dropped(count):
    got, received = exchange([bits(0xFF)[:count], bits(0x3C, 0x55)], [0x96, 0x5A, 0x0F])
    assert got == [bits(0x96)[:count], bits(0x5A, 0x0F)]
    assert received == [0x3C, 0x55]
