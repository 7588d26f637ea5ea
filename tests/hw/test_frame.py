# amaranth: UnusedElaboratable=no
import zlib

import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.frame import FrameReceiver, FrameTransmitter
from downshift.hw.protocol import QUEUE_FRAMES, LinkError
from downshift.sim.block_bench import run

SIZE = 32
QUEUE = 63


def symbols_of(content):
    return [{"data": byte, "end": 0} for byte in content] + [{"data": 0, "end": 1}]


def framed(content):
    return content + zlib.crc32(content).to_bytes(4, "little")


async def taken_from(ctx, dut):
    """Error and bytes of the frame that waits, which is freed."""
    length, error = ctx.get(dut.o.p.length), LinkError(ctx.get(dut.o.p.error))
    held = []
    for address in range(length if error == LinkError.NONE else 0):
        ctx.set(dut.read_address, address)
        await ctx.tick()
        held.append(ctx.get(dut.read_data))
    ctx.set(dut.o.ready, 1)
    await ctx.tick()
    ctx.set(dut.o.ready, 0)
    return error, bytes(held)


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
            taken.append(await taken_from(ctx, dut))

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


def queued(contents, patience, *, after=0, queue=QUEUE, seed=0):
    """What a receiver with a queue gives, taken so many symbols late, and from a cycle on."""
    dut = FrameReceiver(size=SIZE, queue=queue)
    rng = np.random.default_rng(seed)
    symbols = [symbol for content in contents for symbol in symbols_of(content)]
    taken = []

    async def send(ctx):
        for symbol in symbols:
            ctx.set(dut.i.payload, symbol)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(2)

    async def take(ctx):
        await ctx.tick().repeat(after + 1)
        elapsed, whole = 0, 12 * len(symbols) + 500 * (patience + 1)
        while elapsed < whole:
            wait = int(rng.integers(1, 2 + 9 * patience))
            elapsed += wait
            await ctx.tick().repeat(wait)
            if not ctx.get(dut.o.valid):
                continue
            taken.append(await taken_from(ctx, dut))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(take)
    simulator.run()
    return taken


def random_contents(count):
    rng = np.random.default_rng(1)
    return [rng.bytes(int(rng.integers(1, SIZE - 4))) for _ in range(count)]


def test_queue_gives_frames_in_order_around_its_end():
    contents = random_contents(60)
    assert queued(map(framed, contents), 0) == [(LinkError.NONE, each) for each in contents]


@pytest.mark.parametrize("patience", [60, 120])
def test_queue_that_is_full_loses_whole_frames(patience):
    contents = random_contents(60)
    taken = queued(map(framed, contents), patience)
    good = [content for error, content in taken if error == LinkError.NONE]
    assert {error for error, _ in taken} <= {LinkError.NONE, LinkError.BAD_FRAME}
    places = [contents.index(each) for each in good]
    assert places == sorted(set(places)) and 5 < len(good) < len(contents)


def test_queue_takes_what_the_protocol_promises():
    # The bytes that may wait, in frames of the largest size, then as many frames as may.
    whole, rest = divmod(QUEUE, SIZE)
    sizes = [SIZE] * whole + [rest]
    for contents in ([bytes(size - 4) for size in sizes], [b"x"] * (QUEUE // 5)):
        expected = [(LinkError.NONE, each) for each in contents]
        assert queued(map(framed, contents), 0, after=2000) == expected


def test_queue_that_has_as_many_frames_as_it_may_loses_the_next():
    contents = [bytes([number]) for number in range(QUEUE_FRAMES + 1)]
    taken = queued(map(framed, contents), 0, after=3000, queue=127)
    assert taken == [(LinkError.NONE, content) for content in contents[:-1]]


def test_queue_refuses_bad_frames_in_their_place():
    bad, good = b"abcdefgh", [b"one", b"two"]
    frames = [framed(good[0]), bad, framed(bytes(SIZE)), framed(good[1])]
    assert queued(frames, 30) == [
        (LinkError.NONE, b"one"),
        (LinkError.BAD_FRAME, b""),
        (LinkError.TOO_LONG, b""),
        (LinkError.NONE, b"two"),
    ]


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
