# amaranth: UnusedElaboratable=no
import zlib

import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.frame import FrameReceiver, FrameTransmitter
from downshift.hw.protocol import LinkError
from downshift.sim.block_bench import run

SIZE = 32


def symbols_of(content):
    return [{"data": byte, "end": 0} for byte in content] + [{"data": 0, "end": 1}]


def framed(content):
    return content + zlib.crc32(content).to_bytes(4, "little")


def receive(frames):
    """What a receiver makes of frames that come without a pause: length, error and bytes."""
    dut = FrameReceiver(size=SIZE)
    taken = []

    async def bench(ctx):
        for content in frames:
            for symbol in symbols_of(content):
                ctx.set(dut.i.payload, symbol)
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            if not ctx.get(dut.o.valid):
                continue
            length, error = ctx.get(dut.o.p.length), ctx.get(dut.o.p.error)
            held = []
            for address in range(length if error == LinkError.NONE else 0):
                ctx.set(dut.read_address, address)
                await ctx.tick()
                held.append(ctx.get(dut.read_data))
            taken.append((LinkError(error), bytes(held)))
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return taken


def test_receiver_keeps_good_frames():
    contents = [b"x", b"hello", bytes(range(SIZE - 4)), b"\xc0\xdb"]
    assert receive(map(framed, contents)) == [(LinkError.NONE, c) for c in contents]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b"abc", LinkError.BAD_FRAME),
        (framed(b""), LinkError.BAD_FRAME),
        (framed(b"hello")[:-1], LinkError.BAD_FRAME),
        (framed(bytes(SIZE - 3)), LinkError.TOO_LONG),
        (framed(bytes(10 * SIZE)), LinkError.TOO_LONG),
    ],
)
def test_receiver_refuses_and_goes_on(frame, error):
    good = framed(b"good")
    assert receive([frame, b"", good]) == [(error, b""), (LinkError.NONE, b"good")]


def test_receiver_notices_every_flipped_bit():
    whole = framed(b"ab")
    flipped = [
        bytes(byte ^ (1 << bit if k == at else 0) for k, byte in enumerate(whole))
        for at in range(len(whole))
        for bit in range(8)
    ]
    assert [error for error, _ in receive(flipped)] == [LinkError.BAD_FRAME] * len(flipped)


@pytest.mark.parametrize("gaps", [0.0, 0.5])
def test_transmitter_adds_ends_and_checksum(gaps):
    contents = [b"x", bytes(np.random.default_rng(0).integers(0, 256, 40, dtype=np.uint8))]
    values = [symbol for content in contents for symbol in symbols_of(content)]
    expected = [
        symbol for content in contents for symbol in symbols_of(b"") + symbols_of(framed(content))
    ]
    taken, _ = run(FrameTransmitter(), {"i": values}, outputs={"o": len(expected)}, gaps=gaps)
    assert [{"data": o.data, "end": o.end} for o in taken["o"]] == expected
