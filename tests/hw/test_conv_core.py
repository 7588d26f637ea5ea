# amaranth: UnusedElaboratable=no
from dataclasses import dataclass

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from downshift.hw.conv_core import ConvCore
from downshift.hw.conv_layer import ConvLayer
from downshift.hw.fetch_layer import fetch_fields
from downshift.hw.mac import multiply_accumulate
from downshift.hw.map_layout import MapLayout
from downshift.hw.parameter_loader import stored_row, stored_rows
from downshift.hw.precision_switch import precision_switch
from downshift.hw.requantize import requantize
from downshift.hw.table import table_offset, table_scale
from downshift.hw.tile_loader import loader_fields
from downshift.hw.weight_tiles import stored_tiles
from downshift.hw.window import im2col
from downshift.hw.writer_layer import writer_fields
from downshift.sim.block_bench import read_late

DEPTHS = {"activation_depth": 512, "weight_depth": 1024, "parameter_depth": 64}
OUT_BASE = 300


@dataclass(kw_only=True)
class Case:
    """A convolution with drawn codes, weights and parameters."""

    source: MapLayout
    target: MapLayout
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    weight_width: int
    segments: int = 3

    def __post_init__(self):
        rng = np.random.default_rng(0)
        s, t = self.source, self.target
        self.codes = rng.integers(0, 1 << s.code_width, (s.height, s.width, s.channels), np.uint8)
        shape = (t.channels, s.channels, *self.kernel)
        self.weights = rng.integers(-128, 128, shape, np.int8)
        self.bias = rng.integers(-500, 500, t.channels)
        self.multiplier = rng.integers(1 << 15, 1 << 16, t.channels)
        spread = int(np.prod(shape[1:])).bit_length() // 2 + self.weight_width + s.code_width
        self.shift = np.full(t.channels, max(17, 16 + spread - t.code_width))
        self.zero_point_in, self.zero_point_out = 1, 1

    @property
    def golden(self):
        weights = precision_switch(self.weights, width=self.weight_width)
        windows = im2col(
            self.codes[None],
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            zero_point=self.zero_point_in,
        )[0]
        rows = weights.transpose(0, 2, 3, 1).reshape(len(weights), -1)
        acc = multiply_accumulate(rows, windows.reshape(*windows.shape[:2], -1))
        return requantize(
            acc,
            bias=self.bias,
            multiplier=self.multiplier,
            shift=self.shift,
            zero_point=self.zero_point_out,
            width=self.target.code_width,
        )

    @property
    def strip(self):
        return self.source.strip // self.stride[0]

    @property
    def memories(self):
        """Activations, weights, parameters, as words of bytes."""
        rng = np.random.default_rng(1)
        s = self.source
        activations = rng.integers(0, 256, (DEPTHS["activation_depth"], 16))
        activations[: s.words] = s.encode(self.codes, zero_point=self.zero_point_in)
        stored = stored_tiles(self.weights, group=s.group, rows=16, segments=self.segments)
        scale = table_scale(weight_width=self.weight_width, pack=s.pack)
        offset = table_offset(act_width=s.code_width, pack=s.pack, segments=self.segments)
        parts = 4 // s.slots * self.depth
        parameters = [
            list(stored_row(bias=b * scale - offset * parts, multiplier=m,
                            shift=k + scale.bit_length() - 1))
            for b, m, k in zip(self.bias, self.multiplier, self.shift, strict=True)
        ]  # fmt: skip
        parameters += [parameters[-1]] * (-len(parameters) % 16)
        weights = stored.reshape(len(stored), -1).astype(int) & 0xFF
        return activations.tolist(), weights.tolist(), stored_rows(parameters, tile=16)

    @property
    def words(self):
        return self.source.groups * int(np.prod(self.kernel))

    @property
    def depth(self):
        return -(-self.words // self.segments)

    @property
    def fields(self):
        s, t = self.source, self.target
        tiles = -(-t.channels // 16)
        return {
            "fetch": fetch_fields(
                s, kernel=self.kernel, stride=self.stride, padding=self.padding,
                zero_point=self.zero_point_in, out_columns=t.width, rows=range(self.strip),
                tiles=tiles, base=0,
            ),
            "loader": loader_fields(
                width=self.weight_width, group=s.group, tiles=tiles, words=self.words,
                segments=self.segments, base=0,
            ),
            "array": {
                "pack": s.pack, "act_width": s.code_width, "cycles": max(s.code_width, 4),
                "slots": s.slots.bit_length() - 1, "keep": 0, "out_max": (1 << t.code_width) - 1,
            },
            "parameters": {"base": 0},
            "writer": writer_fields(
                t, strip=self.strip, slots=s.slots, zero_point=self.zero_point_out, base=OUT_BASE,
            ),
        }  # fmt: skip


class Bench(wiring.Component):
    """A core with its memories."""

    layer: In(ConvLayer)
    start: In(1)
    done: Out(1)

    def __init__(self, case):
        self.core = ConvCore(segments=case.segments, acc_width=28, sum_depth=256, **DEPTHS)
        self.contents = [
            MemoryData(shape=data.ArrayLayout(8, len(content[0])), depth=depth, init=content)
            for content, depth in zip(case.memories, DEPTHS.values(), strict=True)
        ]
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self.core
        m.d.comb += [
            core.layer.eq(self.layer),
            core.start.eq(self.start),
            self.done.eq(core.done),
        ]
        reads = (core.read_activations, core.read_weights, core.read_parameters)
        for index, (content, read) in enumerate(zip(self.contents, reads, strict=True)):
            m.submodules[f"memory_{index}"] = memory = Memory(content)
            read_late(m, memory, read)
            if index == 0:
                write = memory.write_port(granularity=4)
                m.d.comb += [
                    write.addr.eq(core.write_address),
                    write.data.eq(core.write_data),
                    write.en.eq(core.write_enable),
                ]
        return m


def run(case, limit=20_000):
    """The map that the core writes, and the cycles it takes."""
    bench = Bench(case)
    result = {}

    async def testbench(ctx):
        ctx.set(bench.layer, case.fields)
        ctx.set(bench.start, 1)
        await ctx.tick()
        ctx.set(bench.start, 0)
        cycles = 1
        while not ctx.get(bench.done):
            assert cycles < limit, "the core does not end"
            await ctx.tick()
            cycles += 1
        words = range(OUT_BASE, OUT_BASE + case.target.words)
        result["words"] = np.array([list(ctx.get(bench.contents[0][k])) for k in words])
        result["cycles"] = cycles

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return case.target.decode(result["words"]), result["cycles"]


def layout(height, width, channels, *, group, strip, pack=0, code_width=8):
    return MapLayout(
        height=height, width=width, channels=channels, group=group, strip=strip, pack=pack,
        code_width=code_width,
    )  # fmt: skip


CASES = {
    "w8a8": Case(
        source=layout(4, 5, 16, group=16, strip=4), target=layout(4, 5, 20, group=16, strip=4),
        kernel=(3, 3), stride=(1, 1), padding=(1, 1, 1, 1), weight_width=8,
    ),
    "w4a4": Case(
        source=layout(4, 4, 16, group=16, strip=2, pack=1, code_width=4),
        target=layout(2, 2, 16, group=16, strip=1, pack=1, code_width=4),
        kernel=(3, 3), stride=(2, 2), padding=(0, 1, 0, 1), weight_width=4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_map_equals_golden(name):
    case = CASES[name]
    codes, _ = run(case)
    assert np.array_equal(codes, case.golden)
