# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.factors import Factors, paired_product

SPACING = 10


def test_every_pair():
    first, second = np.mgrid[-8:8, -8:8].reshape(2, -1, 1)
    low, high = np.mgrid[:16, :16].reshape(2, 1, -1)
    for spacing in (9, 13):
        product = paired_product((first, second), (low, high), spacing=spacing)
        sums = first * low + second * high
        assert np.array_equal(product, (sums << spacing) + second * low)


@pytest.mark.parametrize("levels", range(1, 6))
def test_sums_of_pairs_keep_apart(levels):
    rng = np.random.default_rng(levels)
    spacing, count = 8 + levels, 1 << levels
    weights = rng.choice([-8, 7], (2, 1000, count))
    codes = rng.choice([0, 15], (2, 1000, count))
    weights[:, 0], codes[:, 0] = -8, 15
    weights[:, 1], codes[:, 1] = 7, 15
    total = paired_product(weights, codes, spacing=spacing).sum(axis=-1)
    rounded = (total + (1 << (spacing - 1))) >> spacing
    assert np.array_equal(rounded, (weights * codes).sum(axis=(0, 2)))


async def settle(ctx, dut, word, byte, *, step=0, pack=0, paired=0, together=0):
    ctx.set(dut.words[0][0], word % 512)
    ctx.set(dut.bytes[0], byte)
    for port, value in (
        (dut.next_step, step),
        (dut.pack, pack),
        (dut.paired, paired),
        (dut.together, together),
    ):
        ctx.set(port, value)
    await ctx.tick()
    product = ctx.get(dut.weights[0][0]) * ctx.get(dut.codes[0])
    top = 1 << (SPACING + 8)
    return (product + top) % (2 * top) - top


def check(bench):
    dut = Factors(rows=1, lanes=1, spacing=SPACING)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def testbench(ctx):
        await bench(ctx, dut)

    simulator.add_testbench(testbench)
    simulator.run()


def test_one_code_a_step():
    async def bench(ctx, dut):
        for byte in (0b11100100, 0xFF, 0x5A):
            for weight in (-128, -1, 127):
                assert await settle(ctx, dut, weight, byte) == weight * byte
                for step in range(2):
                    code = byte >> 4 * step & 15
                    product = await settle(ctx, dut, weight, byte, pack=1, step=step)
                    assert product == weight * code
                for step in range(4):
                    code = byte >> 2 * step & 3
                    product = await settle(ctx, dut, weight, byte, pack=2, step=step)
                    assert product == weight * code

    check(bench)


def test_two_codes_a_step():
    async def bench(ctx, dut):
        for first in range(-8, 8):
            for second in (-8, -1, 0, 7):
                word, byte = 16 * first + second, 0b11100100
                weights = first, second
                product = await settle(ctx, dut, word, byte, pack=1, paired=1)
                assert product == paired_product(weights, (4, 14), spacing=SPACING)
                for step, codes in enumerate([(0, 1), (2, 3)]):
                    product = await settle(ctx, dut, word, byte, pack=2, paired=1, step=step)
                    assert product == paired_product(weights, codes, spacing=SPACING)

    check(bench)


def test_nothing_where_all_codes_are_multiplied_elsewhere():
    async def bench(ctx, dut):
        assert await settle(ctx, dut, 0b01010101, 0xFF) != 0
        assert await settle(ctx, dut, 0b01010101, 0xFF, pack=2, together=1) == 0

    check(bench)
