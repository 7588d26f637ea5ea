# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from downshift.hw.adder_tree import add_trees, adder_tree_latency
from downshift.hw.fabric import Fabric


class Trees(wiring.Component):
    """Two trees of `count` values of `width` bits."""

    def __init__(self, count, width):
        self.count = count
        self.width = width
        values = data.ArrayLayout(data.ArrayLayout(width, count), 2)
        super().__init__({"i": In(values), "o": Out(data.ArrayLayout(16, 2))})

    def elaborate(self, platform):
        m = Module()
        trees = [[self.i[k][index] for index in range(self.count)] for k in range(2)]
        additions = []
        sums = add_trees(m, "tree", additions, trees, largest=(1 << self.width) - 1)
        Fabric().add(m, "tree", additions)
        m.d.comb += [self.o[k].eq(sums[k]) for k in range(2)]
        return m


@pytest.mark.parametrize("width", [4, 5])
@pytest.mark.parametrize("count", range(2, 11))
def test_sums(count, width):
    dut = Trees(count, width)
    values = np.random.default_rng(0).integers(0, 1 << width, (20, 2, count))
    values[0] = (1 << width) - 1
    latency = adder_tree_latency(count)

    async def bench(ctx):
        for cycle in range(len(values) + latency):
            if cycle < len(values):
                ctx.set(dut.i, values[cycle].tolist())
            if cycle >= latency:
                assert [ctx.get(o) for o in dut.o] == values[cycle - latency].sum(axis=-1).tolist()
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
