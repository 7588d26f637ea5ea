from amaranth import Module, Signal, signed
from amaranth.sim import Simulator

from downshift.hw.small_dots import signed_brick, signed_brick_product


def test_all_small_products():
    m, a, b, o = Module(), Signal(signed(2)), Signal(2), Signal(signed(4))
    m.d.comb += o.eq(signed_brick_product(a, b))

    async def check(ctx):
        for x in range(-2, 2):
            for y in range(4):
                ctx.set(a, x)
                ctx.set(b, y)
                assert ctx.get(o) == signed_brick(x, y) == x * y

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()
