# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect
from amaranth.sim import Simulator

from downshift.hw.parameter_loader import (
    ParameterLayer,
    ParameterLoader,
    parameter_bytes,
    row_layout,
    stored_row,
    stored_rows,
)
from downshift.hw.rescale import scale_fields, shifts
from downshift.sim.block_bench import Rom

ROWS, BASE, TILES = 3, 2, 3


class Bench(wiring.Component):
    """A loader at a store of `content`."""

    def __init__(self, content, *, multiplier_width):
        self.content = content
        self.multiplier_width = multiplier_width
        super().__init__(
            {
                "layer": In(ParameterLayer),
                "start": In(1),
                "following": In(1),
                "o": Out(data.ArrayLayout(row_layout(multiplier_width), ROWS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = len(self.content)
        m.submodules.memory = memory = Rom(self.content, depth=depth)
        m.submodules.loader = loader = ParameterLoader(
            rows=ROWS, depth=depth, multiplier_width=self.multiplier_width
        )
        connect(m, loader.read, memory.read)
        m.d.comb += [
            loader.layer.eq(self.layer),
            loader.start.eq(self.start),
            loader.following.eq(self.following),
            self.o.eq(loader.o),
        ]
        return m


@pytest.mark.parametrize("wait", [ROWS + ParameterLoader.latency, 20])
@pytest.mark.parametrize("bits", [16, 24])
def test_rows_of_each_tile(wait, bits):
    rng = np.random.default_rng(0)
    rows = [
        {
            "bias": int(rng.integers(-(1 << 27), 1 << 27)),
            "multiplier": int(rng.integers(1 << bits - 1, 1 << bits)),
            "shift": int(rng.choice(shifts(bits))),
            "residual": int(rng.integers(0, 1 << 16)),
        }
        for _ in range(TILES * ROWS)
    ]
    stored = stored_rows(
        [list(stored_row(**row, multiplier_width=bits)) for row in rows], tile=ROWS
    )
    content = [[0] * parameter_bytes(bits)] * BASE + stored
    bench = Bench(content, multiplier_width=bits)

    async def testbench(ctx):
        ctx.set(bench.layer, {"base": BASE})
        ctx.set(bench.start, 1)
        await ctx.tick()
        ctx.set(bench.start, 0)
        for tile in range(TILES):
            await ctx.tick().repeat(wait)
            for index in range(ROWS):
                row, got = rows[tile * ROWS + index], ctx.get(bench.o)[index]
                assert (got.bias, got.residual) == (row["bias"], row["residual"])
                scale = scale_fields(row["multiplier"], row["shift"], multiplier_width=bits)
                for name, value in scale.items():
                    assert getattr(got.scale, name) == value
            ctx.set(bench.following, 1)
            await ctx.tick()
            ctx.set(bench.following, 0)

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_bias_wraps():
    assert stored_row(bias=(1 << 28) - 5, multiplier=0, shift=16) == stored_row(
        bias=-5, multiplier=0, shift=16
    )
