import re

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from downshift.hw.generate import generate_verilog, shared


class Step(wiring.Component):
    """A register that adds."""

    i: In(4)
    o: Out(4)

    def __init__(self, *, by):
        self.by = by
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i + self.by)
        return m


class Chain(wiring.Component):
    """Steps by one, and a last one by two."""

    i: In(4)
    o: Out(4)

    def __init__(self, *, depth=1):
        self.depth = depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for index in range(3):
            part = Chain(depth=self.depth - 1) if self.depth > 1 else Step(by=1 + index // 2)
            m.submodules[f"part_{index}"] = shared(part, platform)
            m.d.comb += part.i.eq(value)
            value = part.o
        m.d.comb += self.o.eq(value)
        return m


def test_components_that_are_equal_are_one_module():
    text = generate_verilog(Chain(depth=2), name="top")
    modules = re.findall(r"^module (\w+)\(", text, re.MULTILINE)
    assert modules == ["top", "step", "step_1", "chain"]
    instances = re.findall(r"^  (\w+)  ?(\w+) \($", text, re.MULTILINE)
    assert [name for name, _ in instances].count("chain") == 3
    assert [name for name, _ in instances].count("step") == 2
    assert text.count("(* keep_hierarchy *)") == 3


def test_only_verilog_shares():
    chain = Chain(depth=2)

    async def testbench(ctx):
        await ctx.tick().repeat(9)
        assert ctx.get(chain.o) == 3 * 4

    simulator = Simulator(chain)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_the_same_text_for_the_same_component():
    texts = [generate_verilog(Chain(depth=2), name="top") for _ in range(2)]
    assert texts[0] == texts[1]
