# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Const, Module, Signal, signed
from amaranth.back import rtlil
from amaranth.sim import Simulator

from downshift.hw.fabric import Dot, Fabric
from downshift.hw.ice40 import Ice40Fabric


class SoftFabric(Ice40Fabric):
    hard_pairs = 0


def add_dots(m, fabrics, *, lanes, width=16):
    """The same dot product from every fabric: its operands, and the results."""
    a = [Signal(signed(8), name=f"a_{k}") for k in range(lanes)]
    b = [Signal(8, name=f"b_{k}") for k in range(lanes)]
    c = Signal(signed(9))
    results = []
    for number, fabric in enumerate(fabrics):
        o = Signal(signed(18), name=f"o_{number}")
        dot = Dot(o=o, terms=list(zip(a, b, strict=True)), width=width, c=c)
        fabric.add_dots(m, f"dot_{number}", [dot], enable=Const(1, 1))
        results.append(o)
    return a, b, c, results


@pytest.mark.parametrize("lanes", [2, 4])
def test_products_in_look_up_tables_equal_others(lanes):
    m = Module()
    a, b, c, (expected, found) = add_dots(m, (Fabric(), SoftFabric()), lanes=lanes)
    rng = np.random.default_rng(lanes)
    seen = set()

    async def check(ctx):
        for cycle in range(2000):
            together = cycle % 100 >= 50
            for weight, code in zip(a, b, strict=True):
                ctx.set(weight, int(rng.choice([-128, 127, rng.integers(-128, 128)])))
                ctx.set(code, 0 if together else int(rng.choice([0, 255, rng.integers(256)])))
            # What joins a product does so where products are 0; they are, some cycles later.
            ctx.set(c, int(rng.integers(-256, 256)) if together and cycle % 100 > 55 else 0)
            await ctx.tick()
            assert ctx.get(found) == ctx.get(expected)
            seen.add(ctx.get(found))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(check)
    simulator.run()
    assert len(seen) > 1000


def instances(fabric, *, lanes, width=16):
    m = Module()
    a, b, c, results = add_dots(m, [fabric], lanes=lanes, width=width)
    return rtlil.convert(m, ports=[*a, *b, c, *results]).count("cell \\SB_MAC16")


def test_two_products_share_a_multiplier():
    assert instances(Ice40Fabric(), lanes=8) == 4
    assert instances(Ice40Fabric(), lanes=16) == Ice40Fabric.hard_pairs == 7
    assert instances(Ice40Fabric(), lanes=8, width=21) == 0  # left to Yosys
