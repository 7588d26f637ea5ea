# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from downshift.hw.descriptor import (
    DESCRIPTOR_WORDS,
    PROFILES,
    LayerDescriptor,
    descriptor_fields,
    descriptor_words,
)
from downshift.hw.sequencer import Sequencer, program_layers


class SequencerWithProgram(wiring.Component):
    def __init__(self, words, read_latency):
        self.words = words
        self.sequencer = Sequencer(depth=256, read_latency=read_latency)
        super().__init__(
            {
                "start": In(1), "profile": In(4), "done": Out(1), "missing": Out(1),
                "layer": Out(LayerDescriptor), "start_layer": Out(1), "layer_done": In(1),
            }
        )  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = self.sequencer
        m.submodules.memory = memory = Memory(shape=32, depth=256, init=self.words)
        read = memory.read_port()
        m.d.comb += [
            read.en.eq(sequencer.read.enable),
            read.addr.eq(sequencer.read.address),
        ]
        word = read.data
        for _ in range(self.sequencer.read_latency - 1):
            later = Signal.like(word)
            m.d.sync += later.eq(word)
            word = later
        m.d.comb += sequencer.read.data.as_value().eq(word)
        for name in ("start", "profile", "layer_done"):
            m.d.comb += getattr(sequencer, name).eq(getattr(self, name))
        for name in ("done", "missing", "layer", "start_layer"):
            m.d.comb += getattr(self, name).eq(getattr(sequencer, name))
        return m


def a_program():
    """Three descriptors for width 8, the last of them alone for width 2."""
    rng = np.random.default_rng(0)
    layers = [
        descriptor_words(
            {"last": k == 2, "weight_base": int(rng.integers(1 << 32)), "row_start": -int(k)}
        )
        for k in range(3)
    ]
    words = [0] * PROFILES
    words[8] = PROFILES
    words[2] = PROFILES + 2 * DESCRIPTOR_WORDS
    return [*words, *np.ravel(layers).tolist()], layers


@pytest.mark.parametrize(("profile", "expected"), [(8, [0, 1, 2]), (2, [2]), (4, [])])
@pytest.mark.parametrize("read_latency", [1, 2])
def test_equals_golden(profile, expected, read_latency):
    words, layers = a_program()
    assert program_layers(words, profile) == [layers[k] for k in expected]
    dut = SequencerWithProgram(words, read_latency)
    seen, starts = [], []

    async def bench(ctx):
        ctx.set(dut.profile, profile)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for cycle in range(200):
            if ctx.get(dut.start_layer):
                starts.append(cycle)
                bits = ctx.get(dut.layer.as_value())
                seen.append([bits >> 32 * k & 0xFFFFFFFF for k in range(DESCRIPTOR_WORDS)])
                await ctx.tick().repeat(3)
                ctx.set(dut.layer_done, 1)
            if ctx.get(dut.done):
                assert ctx.get(dut.missing) == (not expected)
                break
            await ctx.tick()
            ctx.set(dut.layer_done, 0)
        else:
            pytest.fail("The sequencer did not finish")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [layers[k] for k in expected]
    if expected:
        assert starts[0] == dut.sequencer.lookup_latency + dut.sequencer.fetch_latency - 2


def test_descriptors_survive():
    fields = {"last": 1, "weight_width": 7, "row_start": -5, "out_base": 123456}
    decoded = descriptor_fields(descriptor_words(fields))
    assert decoded == dict.fromkeys(decoded, 0) | fields


def test_descriptor_refuses():
    with pytest.raises(ValueError, match=r"^Field pad must be in 0\.\.255, not 256$"):
        descriptor_words({"pad": 256})
    with pytest.raises(ValueError, match=r"^Field row_start must be in -2147483648\.\."):
        descriptor_words({"row_start": 1 << 31})


class Inner(data.Struct):
    low: 3
    high: signed(4)


class Nested(data.Struct):
    last: 1
    wide: 40
    inner: Inner


def test_nested_descriptors():
    fields = {"last": 1, "wide": 0x123456789A, "inner": {"low": 5, "high": -3}}
    words = descriptor_words(fields, Nested)
    assert len(words) == 2
    assert descriptor_fields(words, Nested) == fields
    with pytest.raises(ValueError, match=r"^Field inner.high must be in -8..7, not 8$"):
        descriptor_words({"inner": {"high": 8}}, Nested)
