# amaranth: UnusedElaboratable=no
import re

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.generate import generate_verilog


class Delay(wiring.Component):
    """Two registers, each in a module of its own."""

    i: In(4)
    o: Out(4)

    def __init__(self, *, step=0, depth=1):
        self.step = step
        self.depth = depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        if self.depth == 0:
            m.d.sync += self.o.eq(self.i + self.step)
            return m
        value = self.i
        for index in range(4):
            # The last one of four differs.
            part = Delay(step=self.step + (index == 3), depth=self.depth - 1)
            m.submodules[f"part_{index}"] = part
            m.d.comb += part.i.eq(value)
            value = Signal.like(part.o, name=f"value_{index}")
            m.d.comb += value.eq(part.o)
        m.d.comb += self.o.eq(value)
        return m


def modules(text):
    return [name.strip(" \\") for name in re.findall(r"^module (\S+)", text, re.MULTILINE)]


def test_modules_that_are_the_same_stand_once():
    text = generate_verilog(Delay(depth=2), name="top")
    leaves = ["top.part_0.part_0", "top.part_0.part_3", "top.part_3.part_3"]
    assert sorted(modules(text)) == sorted(["top(clk,", "top.part_0", "top.part_3", *leaves])
    instances = re.findall(r"^ +\\(top\.\S+)  ?(\w+) \($", text, re.MULTILINE)
    assert ("top.part_0", "part_2") in instances
    assert {name for name, _ in instances} == set(modules(text)) - {"top(clk,"}


def test_the_same_text_for_the_same_component():
    assert generate_verilog(Delay(), name="top") == generate_verilog(Delay(), name="top")
