# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from downshift.hw.requantize import requantize
from downshift.hw.rescale import SHIFTS, Rescale, scale_fields


def run(accs, *, acc_width, multiplier, shift, zero_point, width):
    """Codes of accumulators that enter one a cycle."""
    dut = Rescale(acc_width=acc_width)
    codes = []

    async def testbench(ctx):
        ctx.set(dut.scale, scale_fields(multiplier, shift))
        ctx.set(dut.zero_point, zero_point)
        ctx.set(dut.out_max, (1 << width) - 1)
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


@settings(max_examples=40, deadline=None)
@given(
    acc_width=st.integers(18, 34),
    multiplier=st.one_of(st.integers(1 << 15, (1 << 16) - 1), st.just(1 << 15)),
    shift=st.sampled_from(SHIFTS),
    zero_point=st.integers(0, 255),
    width=st.integers(1, 8),
)
def test_equals_golden(acc_width, multiplier, shift, zero_point, width):
    zero_point &= (1 << width) - 1
    scale = {"multiplier": multiplier, "shift": shift}
    accs = telling(np.random.default_rng(shift), acc_width=acc_width, **scale)
    codes = run(accs, acc_width=acc_width, **scale, zero_point=zero_point, width=width)
    expected = requantize(accs, bias=0, **scale, zero_point=zero_point, width=width)
    assert codes == expected.tolist()


@pytest.mark.parametrize("shift", [11, 44])
def test_refuses_shifts(shift):
    with pytest.raises(ValueError, match=f"^Shift must be in 12..43, not {shift}$"):
        scale_fields(1 << 15, shift)


def test_refuses_widths():
    with pytest.raises(ValueError, match=r"^Accumulators must have 18..34 bits, not 17$"):
        Rescale(acc_width=17)
