# amaranth: UnusedElaboratable=no
"""The channel serializer and the code writer."""

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from downshift.hw.channel_serializer import ChannelSerializer, channel_beats
from downshift.hw.code_writer import CodeWriter
from downshift.hw.descriptor import LayerDescriptor
from downshift.hw.packing import pack_codes
from downshift.hw.store import Store
from downshift.sim.block_bench import read_store, run


class SerializerWithStore(wiring.Component):
    """A serializer whose parameter word n holds the biases n * requantizers + k."""

    def __init__(self, *, rows, requantizers, pipelined=True):
        self.serializer = ChannelSerializer(
            rows=rows, requantizers=requantizers, depth=64, pipelined=pipelined
        )
        super().__init__(
            {
                "layer": In(LayerDescriptor),
                "i": In(self.serializer.i.signature.flip()),
                "o": Out(self.serializer.o.signature),
                "o_logits": Out(self.serializer.o_logits.signature),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.serializer = serializer = self.serializer
        n = serializer.requantizers
        words = [sum((w * n + k) << 64 * k for k in range(n)) for w in range(64)]
        read_store(m, words, serializer, latency=Store.latency_of(pipelined=serializer.pipelined))
        m.d.comb += serializer.layer.eq(self.layer)
        wiring.connect(m, wiring.flipped(self.i), serializer.i)
        wiring.connect(m, serializer.o, wiring.flipped(self.o))
        wiring.connect(m, serializer.o_logits, wiring.flipped(self.o_logits))
        return m


def sums_of(tiles, pixels, rows):
    sums = np.random.default_rng(rows).integers(-(1 << 30), 1 << 30, (tiles, pixels, rows))
    values = [
        {"sums": sums[t, p].tolist(), "end": p == pixels - 1}
        for t in range(tiles)
        for p in range(pixels)
    ]
    return sums, values


@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize("gaps", [0.0, 0.5])
@pytest.mark.parametrize(("rows", "requantizers"), [(4, 1), (8, 2), (4, 4)])
def test_serializer_equals_golden(rows, requantizers, gaps, pipelined):
    sums, values = sums_of(3, 4, rows)
    expected = channel_beats(sums, requantizers=requantizers)
    dut = SerializerWithStore(rows=rows, requantizers=requantizers, pipelined=pipelined)
    taken, cycles = run(dut, {"i": values}, outputs={"o": len(expected)}, gaps=gaps)
    assert np.array_equal([list(o.sums) for o in taken["o"]], expected)
    # Channels of a tile, in order, for every pixel.
    biases = np.arange(3 * rows).reshape(3, 1, rows).repeat(4, axis=1).reshape(-1, requantizers)
    assert np.array_equal([[p.bias for p in o.parameters] for o in taken["o"]], biases)
    if not gaps:
        assert set(np.diff(cycles["o"])) == {1}


@pytest.mark.parametrize("gaps", [0.0, 0.5])
@pytest.mark.parametrize(("rows", "requantizers"), [(4, 1), (8, 2)])
def test_serializer_adds_the_bias_of_logits(rows, requantizers, gaps):
    sums, values = sums_of(2, 3, rows)
    expected = sums + np.arange(2 * rows).reshape(2, 1, rows)
    dut = SerializerWithStore(rows=rows, requantizers=requantizers)
    taken, _ = run(
        dut, {"i": values}, outputs={"o_logits": expected.size},
        settings={"layer": {"logits": 1}}, gaps=gaps,
    )  # fmt: skip
    assert taken["o_logits"] == expected.ravel().tolist()


def test_serializer_starts_at_the_parameters_of_its_layer():
    dut = ChannelSerializer(rows=4, requantizers=2, depth=64)

    async def bench(ctx):
        ctx.set(dut.layer, {"parameter_base": 37})
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.i.valid, 1)
        assert (ctx.get(dut.read.enable), ctx.get(dut.read.address)) == (1, 37)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_serializer_refuses():
    with pytest.raises(ValueError, match=r"^Requantizers must divide rows = 4, not be 3$"):
        ChannelSerializer(rows=4, requantizers=3, depth=4)


def write(dut, beats, layer, *, logits=False, gaps=0.3):
    """Memory that a writer leaves, and the beat with which it was done."""
    memory = np.zeros((dut.depth // dut.lanes, dut.lanes), np.uint8)
    rng = np.random.default_rng(0)
    port = dut.i_logits if logits else dut.i
    done = []

    async def store(ctx):
        ports = (dut.write_enable, dut.write_address, dut.write_data)
        async for _, _, enable, address, content in ctx.tick().sample(*ports):
            for bank in range(dut.lanes):
                if enable >> bank & 1:
                    memory[address, bank] = content[bank]

    async def bench(ctx):
        ctx.set(dut.layer, layer)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for index, beat in enumerate(beats):
            while rng.random() < gaps:
                await ctx.tick()
            ctx.set(port.payload, beat)
            ctx.set(port.valid, 1)
            await ctx.tick()
            ctx.set(port.valid, 0)
            if ctx.get(dut.done):
                done.append(index)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(store, background=True)
    simulator.add_testbench(bench)
    simulator.run()
    assert done == [len(beats) - 1]
    return memory.ravel()


@pytest.mark.parametrize("width", [8, 6, 4, 3, 2])
@pytest.mark.parametrize("channels", [1, 5, 8, 13])
@pytest.mark.parametrize(("requantizers", "rows", "lanes"), [(1, 4, 4), (2, 8, 4), (4, 4, 8)])
def test_writer_packs_codes(width, channels, requantizers, rows, lanes):
    tiles, pixels, base = -(-channels // rows), 3, 2 * lanes
    codes = np.random.default_rng(width).integers(0, 1 << width, (pixels, tiles * rows))
    per_byte = 1 if width > 4 else 2 if width > 2 else 4
    packed = pack_codes(codes[:, :channels], width=width, align=lanes)
    layer = {
        "out_pack": per_byte.bit_length() - 1, "last_pixel": pixels - 1, "last_tile": tiles - 1,
        "out_base": base, "out_pixel_bytes": packed.shape[1],
    }  # fmt: skip
    dut = CodeWriter(
        channels=requantizers, groups=rows // requantizers, lanes=lanes,
        depth=256, pixels=64,
    )  # fmt: skip
    beats = codes.reshape(pixels, tiles, -1, requantizers).swapaxes(0, 1).reshape(-1, requantizers)
    memory = write(dut, beats.tolist(), layer)
    # Channels beyond the last may fill up the pixel; nothing else is touched.
    filled = pack_codes(codes, width=width, align=lanes)[:, : packed.shape[1]]
    got = memory[base : base + packed.size].reshape(packed.shape)
    written = pack_codes(np.full((1, tiles * rows), 255 >> 8 - 8 // per_byte), width=width,
                         align=lanes)[:, : packed.shape[1]]  # fmt: skip
    assert np.array_equal(got, filled & written)
    assert not memory[:base].any()
    assert not memory[base + packed.size :].any()


def test_writer_spells_out_logits():
    logits = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, 8)
    layer = {"logits": 1, "last_tile": 1, "out_base": 4, "out_pixel_bytes": 20}
    dut = CodeWriter(channels=1, groups=4, lanes=4, depth=64, pixels=64)
    memory = write(dut, logits.tolist(), layer, logits=True)
    assert np.array_equal(memory[4:24].view("<i4"), logits[:5])
    assert not memory[24:].any()
