# amaranth: UnusedElaboratable=no
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downshift.hw.requantize import Requantize, requantize
from downshift.sim.block_bench import run

RATES = [pytest.param(False, 33, id="full rate"), pytest.param(True, 31, id="half rate")]
"""And the bits of biased sums."""
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
FIELDS = {
    "acc": INT32,
    "bias": INT32,
    "multiplier": st.integers(0, 65535),
    "shift": st.integers(0, 63),
    "zero_point": st.integers(0, 255),
    "width": st.integers(2, 8),
}


def definition(*, acc, bias, multiplier, shift, zero_point, width):
    exact = Fraction((acc + bias) * multiplier, 1 << shift)
    return min(max(round(exact) + zero_point, 0), (1 << width) - 1)  # round: half to even


def run_block(cases, *, zero_point, width, gaps=0.0, channels=2, half_rate=False):
    beats = [cases[k : k + channels] for k in range(0, len(cases), channels)]
    values = [
        {
            "sums": [case["acc"] for case in beat],
            "parameters": [
                {name: case[name] for name in ("bias", "multiplier", "shift")} for case in beat
            ],
        }
        for beat in beats
    ]
    taken, cycles = run(
        Requantize(channels=channels, half_rate=half_rate), {"i": values},
        outputs={"o": len(beats)},
        settings={"zero_point": zero_point, "out_max": (1 << width) - 1}, gaps=gaps,
    )  # fmt: skip
    return [code for beat in taken["o"] for code in beat], cycles


def full_range(rng, n, *, bits=33):
    """Cases whose biased sums have so many bits at most, half of them near ties and codes."""
    cases = []
    for k in range(n):
        shift = int(rng.integers(0, 64))
        multiplier = int(rng.integers(0, 65536))
        acc = int(rng.integers(-(1 << 31), 1 << 31))
        if k % 2:
            shift = int(rng.integers(1, 32))
            multiplier = 1 << int(rng.integers(0, 16))
            acc = (int(rng.integers(-20, 300)) << shift) // (2 * multiplier)
            acc = int(np.clip(acc, -(1 << 31), (1 << 31) - 1))
        bias = int(rng.integers(-(1 << 31), 1 << 31)) if k % 3 == 0 else int(rng.integers(-2, 3))
        if bits < 33:
            most = 1 << (bits - 1)
            bias = int(np.clip(acc + bias, -most, most - 1)) - acc
        cases.append({"acc": acc, "bias": bias, "multiplier": multiplier, "shift": shift})
    return cases


@pytest.mark.parametrize(
    ("acc", "shift", "code"), [(1, 1, 0), (3, 1, 2), (5, 1, 2), (-1, 1, 0), (6, 2, 2), (10, 2, 2)]
)
def test_ties_go_to_even(acc, shift, code):
    result = requantize(acc, bias=0, multiplier=1, shift=shift, zero_point=0, width=8)
    assert result == code


WIDE = st.integers(1 << 23, (1 << 24) - 1)
"""Multipliers that the table style may have."""


@settings(max_examples=500)
@given(st.fixed_dictionaries({**FIELDS, "multiplier": FIELDS["multiplier"] | WIDE}))
def test_golden_equals_its_definition(case):
    assert requantize(**case) == definition(**case)


@given(st.fixed_dictionaries({**FIELDS, "multiplier": WIDE}), st.integers(0, 300))
def test_golden_equals_its_definition_where_products_are_large(case, code):
    largest = (1 << 31) - 1
    sums = (code << case["shift"]) // case["multiplier"]
    case |= {"acc": min(sums, largest), "bias": max(min(sums - largest, largest), 0)}
    assert requantize(**case) == definition(**case)


@pytest.mark.parametrize(
    ("sums", "multiplier", "code"),
    [(2496036185, 15731246, 139), (3180263813, 16240998, 183), (2457833547, 15746717, 137)],
)
def test_products_that_floats_would_round(sums, multiplier, code):
    case = {"multiplier": multiplier, "shift": 48, "zero_point": 0, "width": 8}
    case |= {"acc": (1 << 31) - 1, "bias": sums - (1 << 31) + 1}
    assert np.rint(float(sums) * multiplier / 2.0**48) == code + 1
    assert requantize(**case) == definition(**case) == code


@given(st.fixed_dictionaries(FIELDS), st.integers(0, 300))
def test_golden_equals_its_definition_at_ties(case, twice):
    case |= {"multiplier": 1 << 15, "shift": 16, "acc": twice, "bias": 0}
    assert requantize(**case) == definition(**case)


@pytest.mark.parametrize(("zero_point", "width"), [(0, 8), (0, 2), (3, 4), (128, 8), (255, 8)])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize(("half_rate", "bits"), RATES)
def test_block_equals_golden(zero_point, width, gaps, half_rate, bits):
    cases = full_range(np.random.default_rng(width + zero_point), 600, bits=bits)
    codes, _ = run_block(cases, zero_point=zero_point, width=width, gaps=gaps, half_rate=half_rate)
    assert codes == [definition(**c, zero_point=zero_point, width=width) for c in cases]


@pytest.mark.parametrize(("half_rate", "bits"), RATES)
def test_extremes(half_rate, bits):
    top = 1 << (bits - 2)
    values = (-top, -1, 0, 1, top - 1)
    cases = [
        {"acc": acc, "bias": bias, "multiplier": multiplier, "shift": shift}
        for acc in values for bias in values for multiplier in (0, 1, 32768, 65535)
        for shift in (0, 1, 7, 8, 15, 16, 31, 48, 49, 50, 63)
    ]  # fmt: skip
    codes, _ = run_block(cases, zero_point=7, width=8, half_rate=half_rate)
    assert codes == [definition(**case, zero_point=7, width=8) for case in cases]


@pytest.mark.parametrize(("half_rate", "bits"), RATES)
def test_latency_and_throughput(half_rate, bits):
    cases = full_range(np.random.default_rng(0), 20, bits=bits)
    _, cycles = run_block(cases, zero_point=0, width=8, half_rate=half_rate)
    latency = Requantize.latency_of(half_rate=half_rate)
    assert set(np.subtract(cycles["o"], cycles["i"])) == {latency}
    assert set(np.diff(cycles["o"])) == {1 + half_rate}


def test_refuses():
    with pytest.raises(ValueError, match=r"^Channels must be a positive integer, not 0$"):
        Requantize(channels=0)
