# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from downshift.hw.map_layout import MapLayout
from downshift.hw.table import LAYOUTS
from downshift.hw.word_format import WordFormat, format_words
from downshift.sim.block_bench import run

WIDTHS = {0: (8, 6), 1: (4,), 2: (2,)}
CASES = [
    (pack, group, width) for pack in LAYOUTS for group in LAYOUTS[pack] for width in WIDTHS[pack]
]


@pytest.mark.parametrize("gaps", [0.0, 0.5])
@pytest.mark.parametrize(("pack", "group", "width"), CASES)
def test_equals_golden(pack, group, width, gaps):
    layout = MapLayout(
        height=1, width=1, channels=16, group=group, pack=pack, code_width=width, strip=1
    )
    codes = np.random.default_rng(0).integers(0, 1 << width, (6, 16), np.uint8)
    words = 16 // group
    dut = WordFormat()
    taken, cycles = run(
        dut,
        {"i": codes.tolist()},
        outputs={"o": 6 * words},
        settings={
            "pack": pack,
            "group": (group // 4).bit_length() - 1,
            "six": width == 6,
        },
        gaps=gaps,
    )
    expected = np.concatenate([format_words(row, layout) for row in codes])
    assert np.array_equal([list(word) for word in taken["o"]], expected.reshape(-1, 16))
    assert cycles["o"][0] - cycles["i"][0] == dut.latency
    assert gaps or set(np.diff(cycles["o"])) == {1}
