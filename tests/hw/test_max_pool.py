# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from downshift.hw.max_pool import MaxPool, max_pool
from downshift.sim.block_bench import run


def window_order(codes, size, stride):
    """Pixels (n, channels) window by window."""
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(codes.shape, size, stride, strict=False))
    return np.concatenate([
        codes[y * stride[0] :, x * stride[1] :][: size[0], : size[1]].reshape(-1, codes.shape[2])
        for y in range(rows) for x in range(columns)
    ])  # fmt: skip


@pytest.mark.parametrize("gaps", [0.0, 0.5])
@pytest.mark.parametrize(
    ("size", "stride"), [((1, 1), (1, 1)), ((2, 2), (2, 2)), ((3, 2), (1, 2)), ((3, 3), (2, 2))]
)
@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (2, 4)])
def test_block_equals_golden(size, stride, channels, groups, gaps):
    codes = np.random.default_rng(1).integers(0, 256, (5, 6, channels * groups)).astype(np.uint8)
    expected = max_pool(codes[None], size=size, stride=stride).reshape(-1, channels)
    beats = window_order(codes, size, stride).reshape(-1, channels)
    taken, cycles = run(
        MaxPool(channels=channels, groups=groups, pixels=64), {"i": beats.tolist()},
        outputs={"o": len(expected)}, settings={"last_pool": size[0] * size[1] - 1}, gaps=gaps,
    )  # fmt: skip
    assert np.array_equal([list(o) for o in taken["o"]], expected)
    assert set(cycles["o"]) <= set(cycles["i"])  # no cycle of its own
