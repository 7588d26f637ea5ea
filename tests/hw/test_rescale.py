# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from downshift.hw.requantize import requantize
from downshift.hw.rescale import Rescale, scale_fields, shifts


def run(accs, *, acc_width, multiplier_width, multiplier, shift, zero_point, largest):
    """Codes of accumulators that enter one a cycle."""
    dut = Rescale(acc_width=acc_width, multiplier_width=multiplier_width)
    codes = []

    async def testbench(ctx):
        fields = scale_fields(multiplier, shift, multiplier_width=multiplier_width)
        ctx.set(dut.scale, fields)
        ctx.set(dut.zero_point, zero_point)
        ctx.set(dut.out_max, largest)
        for acc in [*accs, *[0] * dut.latency]:
            ctx.set(dut.i, int(acc))
            codes.append(ctx.get(dut.o))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return codes[dut.latency :]


def telling(rng, *, acc_width, multiplier, shift):
    """Accumulators at the ends, anywhere, and where the result is small or a tie."""
    top = 1 << acc_width - 1
    wide = rng.integers(-top, top, 40)
    near = (np.arange(-20, 280, 3) * 2.0**shift / 2 / multiplier).round().astype(np.int64)
    near = np.concatenate([near - 1, near, near + 1])
    return np.concatenate([[-top, -top + 1, -1, 0, 1, top - 1], wide, near[abs(near) < top]])


@settings(max_examples=60, deadline=None)
@given(
    acc_width=st.integers(18, 34),
    scale=st.sampled_from([16, 24]).flatmap(
        lambda bits: st.tuples(
            st.just(bits),
            st.one_of(
                st.integers(1 << bits - 1, (1 << bits) - 1),
                # Ties, and what is a single bit above one.
                st.just(1 << bits - 1),
                st.integers(0, bits - 2).map(lambda bit: 1 << bits - 1 | 1 << bit),
            ),
            st.sampled_from(shifts(bits)),
        )
    ),
    zero_point=st.integers(0, 255),
    largest=st.one_of(st.integers(1, 255), st.sampled_from([(1 << w) - 1 for w in range(1, 9)])),
)
def test_equals_golden(acc_width, scale, zero_point, largest):
    zero_point %= largest + 1
    bits, multiplier, shift = scale
    scale = {"multiplier": multiplier, "shift": shift}
    accs = telling(np.random.default_rng(shift), acc_width=acc_width, **scale)
    codes = run(
        accs, acc_width=acc_width, multiplier_width=bits, **scale, zero_point=zero_point,
        largest=largest,
    )  # fmt: skip
    expected = requantize(accs, bias=0, **scale, zero_point=zero_point, width=8, largest=largest)
    assert codes == expected.tolist()


@pytest.mark.parametrize(
    ("bits", "bit"), [(bits, bit) for bits in (16, 24) for bit in range(bits - 5)]
)
def test_a_single_bit_below_the_half_counts(bits, bit):
    """At the least shift: odd sums give a half, and this bit."""
    shift = shifts(bits).start
    scale = {"multiplier": 1 << bits - 1 | 1 << shift - 1 | 1 << bit, "shift": shift}
    accs = np.arange(-3, 12, 2)
    codes = run(
        accs, acc_width=24, multiplier_width=bits, **scale, zero_point=40, largest=255
    )  # fmt: skip
    expected = requantize(accs, bias=0, **scale, zero_point=40, width=8, largest=255)
    assert codes == expected.tolist()


@pytest.mark.parametrize(
    ("bits", "shift", "possible"),
    [(16, 11, "12..43"), (16, 44, "12..43"), (24, 19, "20..51"), (24, 52, "20..51")],
)
def test_refuses_shifts(bits, shift, possible):
    with pytest.raises(ValueError, match=f"^Shift must be in {possible}, not {shift}$"):
        scale_fields(1 << bits - 1, shift, multiplier_width=bits)


def test_refuses_widths():
    with pytest.raises(ValueError, match=r"^Accumulators must have 18..34 bits, not 17$"):
        Rescale(acc_width=17)
    with pytest.raises(ValueError, match=r"^Multipliers must have 16 or 24 bits, not 20$"):
        Rescale(acc_width=24, multiplier_width=20)
