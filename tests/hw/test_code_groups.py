# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from downshift.hw.code_groups import CodeGroups, code_groups, groups_of
from downshift.sim.block_bench import run


@pytest.mark.parametrize("count", range(1, 8))
def test_every_code_has_one_place(count):
    groups = code_groups(count)
    assert len(groups) == groups_of(count)
    places = [place for group in groups for place in group if place is not None]
    assert sorted(places) == [(word, byte) for word in range(count) for byte in range(16)]


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize("counts", [(6, 6, 2), (1, 3, 1), (5,)])
def test_equals_golden(counts, gaps):
    rng = np.random.default_rng(0)
    words, expected = [], []
    for index, count in enumerate(counts):
        codes = rng.integers(0, 256, (count, 16))
        tags = {"first": index == 0, "last": index == len(counts) - 1, "end": index % 2}
        for k, word in enumerate(codes.tolist()):
            complete = k == count - 1
            words.append({"word": word, "chain": 0, "complete": complete, "tags": tags})
        expected += [
            [None if place is None else codes[place] for place in group]
            for group in code_groups(count)
        ]
        expected[-1] = (expected[-1], tags)
    taken, cycles = run(
        CodeGroups(segments=6), {"i": words}, outputs={"o": len(expected)}, settings={"start": 0},
        gaps=gaps,
    )  # fmt: skip
    for got, golden in zip(taken["o"], expected, strict=True):
        assert got.complete == isinstance(golden, tuple)
        if got.complete:
            golden, tags = golden
            assert [getattr(got.tags, name) for name in tags] == list(tags.values())
        for code, known in zip(got.codes, golden, strict=True):
            assert known is None or code == known
    assert gaps or np.ptp(cycles["o"]) == len(expected) - 1
