import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downshift.hw.map_layout import MapLayout
from downshift.hw.table import LAYOUTS, table_slots


@st.composite
def layouts(draw):
    pack = draw(st.sampled_from(sorted(LAYOUTS)))
    group = draw(st.sampled_from(LAYOUTS[pack]))
    height = draw(st.integers(1, 9))
    least = -(-height // table_slots(pack=pack, channels=group))
    return MapLayout(
        height=height,
        width=draw(st.integers(1, 5)),
        channels=draw(st.integers(1, 40)),
        code_width=draw(st.integers(1, 8 >> pack)),
        pack=pack,
        group=group,
        strip=draw(st.integers(least, least + 2)),
    )


@given(layouts(), st.integers(0, 1 << 16))
def test_decode_is_the_inverse(layout, seed):
    shape = (2, layout.height, layout.width, layout.channels)
    codes = np.random.default_rng(seed).integers(0, 1 << layout.code_width, shape, np.uint8)
    words = layout.encode(codes, zero_point=1)
    assert words.shape == (2, layout.words, 16)
    assert np.array_equal(layout.decode(words), codes)


def test_strips_share_words():
    layout = MapLayout(height=5, width=2, channels=9, code_width=3, pack=1, group=8, strip=2)
    codes = np.random.default_rng(0).integers(0, 8, (5, 2, 9), np.uint8)
    words = layout.encode(codes, zero_point=5).reshape(2, 2, 2, 4, 4)  # quarter, lane
    # Row 3 is row 1 of strip 1; its channels 0…3 are the low halves, aligned to the left.
    assert np.array_equal(words[1, 0, 0, 1] & 0xF, codes[3, 0, :4] << 1)
    assert np.array_equal(words[1, 0, 0, 1] >> 4, codes[3, 0, 4:8] << 1)
    assert words[1, 1, 1, 2, 0] & 0xF == 5 << 1  # row 5 is none
    assert words[0, 1, 1, 2, 0] & 0xF == codes[4, 1, 8] << 1


def test_refuses():
    sizes = {"height": 5, "width": 1, "channels": 1, "group": 8}
    with pytest.raises(ValueError, match=r"^Codes of 5 bits cannot be packed by 2$"):
        MapLayout(**sizes, code_width=5, pack=1, strip=2)
    with pytest.raises(ValueError, match=r"^2 strips of 2 rows cannot hold 5 rows$"):
        MapLayout(**sizes, code_width=8, pack=0, strip=2)
