# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from downshift.hw.channel_serializer import ChannelParameters
from downshift.hw.partial_sums import RESIDUAL_PLACE
from downshift.hw.residual_sum import ResidualSum, add_residual, residual_bytes
from downshift.sim.block_bench import run

INT24 = -(1 << 23), 1 << 23


def run_block(sums, words, *, channels=2, gaps=0.0, **settings):
    values = [
        {"sums": sums[k : k + channels].tolist(),
         "parameters": [ChannelParameters.from_bits(int(word)) for word in words[k : k + channels]]}
        for k in range(0, len(sums), channels)
    ]  # fmt: skip
    taken, cycles = run(
        ResidualSum(channels=channels), {"i": values}, outputs={"o": len(values)},
        settings=settings, gaps=gaps,
    )  # fmt: skip
    beats = [(beat.sums[k], beat.parameters[k]) for beat in taken["o"] for k in range(channels)]
    return beats, cycles


def numbers(rng, n):
    return {
        "bias": rng.integers(-(1 << 25), 1 << 25, n),
        "multiplier": rng.integers(0, 1 << 16, n),
        "shift": rng.integers(0, 64, n),
        "residual": rng.integers(0, 1 << 16, n),
    }


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize("shift", range(7))
def test_block_equals_golden(shift, gaps):
    rng = np.random.default_rng(shift)
    acc, codes = rng.integers(*INT24, 64), rng.integers(0, 256, 64)
    acc[:4], codes[:4] = [INT24[0], INT24[1] - 1] * 2, [0, 0, 255, 255]
    told = numbers(rng, 64)
    told["residual"][:4] = 65535
    sums = (acc + (codes << RESIDUAL_PLACE)).astype(np.uint32).view(np.int32)
    beats, _ = run_block(sums, residual_bytes(**told), residual=1, shift=shift, gaps=gaps)
    expected = add_residual(acc, codes, multiplier=told["residual"], shift=shift)
    assert [total for total, _ in beats] == expected.tolist()
    for name in ("bias", "multiplier", "shift"):
        assert [getattr(told_on, name) for _, told_on in beats] == told[name].tolist()


def test_sums_without_a_residual_pass():
    rng = np.random.default_rng(0)
    sums = rng.integers(-(1 << 31), 1 << 31, 64)
    words = rng.integers(0, 1 << 63, 64, dtype=np.uint64) * 2
    beats, _ = run_block(sums, words, residual=0, shift=0)
    assert [total for total, _ in beats] == sums.tolist()
    told = [ChannelParameters.from_bits(int(word)) for word in words]
    for name in ("bias", "multiplier", "shift"):
        assert [getattr(a, name) for _, a in beats] == [getattr(b, name) for b in told]


def test_latency_and_throughput():
    words = residual_bytes(**numbers(np.random.default_rng(0), 20))
    _, cycles = run_block(np.zeros(20, int), words, residual=1, shift=0)
    assert cycles["o"][0] - cycles["i"][0] == ResidualSum.latency
    assert set(np.diff(cycles["o"])) == {1}
