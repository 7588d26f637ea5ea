# amaranth: UnusedElaboratable=no
import re

import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.block_ram import BlockRam
from downshift.hw.ecp5 import Ecp5Fabric
from downshift.hw.generate import generate_verilog


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize(("width", "granularity", "depth"), [(12, 4, 5), (8, 8, 2), (6, None, 16)])
def test_words_come_some_cycles_later(width, granularity, depth, near):
    rng = np.random.default_rng(width)
    dut = BlockRam(width=width, depth=depth, granularity=granularity, near=near)
    granule = granularity or width
    content = [0] * depth
    latency = BlockRam.near_latency if near else BlockRam.latency
    words = [0] * latency  # at the output, and on their way to it

    async def testbench(ctx):
        for _ in range(500):
            enable = int(rng.integers(1 << width // granule))
            address, word = int(rng.integers(depth)), int(rng.integers(1 << width))
            reads = int(rng.integers(2))
            read_address = int(rng.choice([a for a in range(depth) if a != address]))
            for name, value in (
                ("write_enable", enable), ("write_address", address), ("write_data", word),
            ):  # fmt: skip
                ctx.set(getattr(dut, name), value)
            for name, value in (("enable", reads), ("address", read_address)):
                ctx.set(getattr(dut.read, name), value)
            await ctx.tick()
            words.append(content[read_address] if reads else words[-1])
            words.pop(0)
            for k in range(width // granule):
                mask = (1 << granule) - 1 << granule * k
                if enable >> k & 1:
                    content[address] = content[address] & ~mask | word & mask
            assert ctx.get(dut.read.data) == words[0]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(
    ("width", "granularity", "depth", "cells"),
    [
        (384, None, 6144, 129),  # three banks of 43 with nine bits each
        (384, None, 4096, 86),
        (128, 8, 4096, 32),
        (64, None, 4096, 15),
        (32, None, 2048, 4),
        (18, None, 1024, 1),
        (28, None, 512, 1),
    ],
)
def test_ecp5_cells(width, granularity, depth, cells):
    ram = BlockRam(width=width, depth=depth, granularity=granularity, fabric=Ecp5Fabric())
    text = generate_verilog(ram, name="ram")
    bodies = dict(re.findall(r"^module (\w+)(.*?)^endmodule", text, re.MULTILINE | re.DOTALL))
    columns = {
        name: len(re.findall(r"^  __ram_column\w* bank_", bodies[name], re.MULTILINE))
        for name in bodies
    }
    slices = re.findall(r"^  (\w+) slice_", bodies["ram"], re.MULTILINE)
    assert sum(columns[name] for name in slices) == cells


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 8, "depth": 4, "granularity": 3}, "^Granularity must divide 8 bits, not be 3$"),
        ({"width": 8, "depth": 1}, "^Depth must be at least 2, not 1$"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        BlockRam(**arguments)
