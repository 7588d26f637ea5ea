# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect

from downshift.hw.fetch import Fetch, segment_vectors
from downshift.hw.fetch_layer import FetchLayer, fetch_fields
from downshift.hw.mac import vector_layout
from downshift.hw.map_layout import WORD_BYTES, MapLayout
from downshift.hw.word_chains import WordChains, chain_places
from downshift.sim.block_bench import Rom, run

DEPTH, BASE = 512, 7


class Fetcher(wiring.Component):
    """A fetch and its chains at a memory of `content`, and a queue behind; starts by itself."""

    latency = Fetch.latency + 2

    def __init__(self, content, *, segments):
        self.content = content
        self.segments = segments
        super().__init__(
            {
                "layer": In(FetchLayer),
                "begin": In(stream.Signature(1)),
                "o": Out(stream.Signature(vector_layout(WORD_BYTES * segments))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = fetch = Fetch(segments=self.segments, depth=DEPTH)
        m.submodules.chains = chains = WordChains(segments=self.segments)
        init = [word.tolist() for word in self.content]
        m.submodules.memory = memory = Rom(init, depth=DEPTH)
        connect(m, fetch.read, memory.read)
        connect(m, fetch.o, chains.i)
        m.submodules.taken = taken = SyncFIFO(width=len(chains.o.p.as_value()), depth=4)
        m.d.comb += [
            chains.takes.eq(taken.level < 2),
            taken.w_en.eq(chains.o.valid & chains.o.ready),
            taken.w_data.eq(chains.o.p),
            self.o.valid.eq(taken.r_rdy),
            self.o.p.eq(taken.r_data),
            taken.r_en.eq(self.o.ready),
        ]
        m.d.sync += chains.o.ready.eq(chains.takes)
        m.d.comb += [
            fetch.layer.eq(self.layer),
            fetch.start.eq(self.begin.valid),
            self.begin.ready.eq(1),
        ]
        return m


def fetch(
    layout,
    *,
    kernel,
    stride,
    padding,
    segments,
    tiles=1,
    gaps=0.0,
    zero_point=1,
    mode=None,
    rows=None,
):
    """Vectors and tags in order, the golden vectors, and the cycles of both."""
    rng = np.random.default_rng(0)
    shape = (layout.height, layout.width, layout.channels)
    codes = rng.integers(0, 1 << layout.code_width, shape, np.uint8)
    content = rng.integers(0, 256, (DEPTH, WORD_BYTES))
    content[BASE : BASE + layout.words] = layout.encode(codes, zero_point=zero_point)
    out_strip = layout.strip // stride[0]
    shared = {"kernel": kernel, "stride": stride, "padding": padding, "zero_point": zero_point}
    expected = segment_vectors(
        codes, layout, **shared, out_strip=out_strip, segments=segments, separate=mode == "separate"
    )
    rows = rows or range(out_strip)
    expected = expected.reshape(len(expected), out_strip, -1, *expected.shape[2:])[:, rows]
    expected = expected.reshape(len(expected), -1, *expected.shape[3:])
    columns = (layout.width + padding[2] + padding[3] - kernel[1]) // stride[1] + 1
    fields = fetch_fields(
        layout,
        **shared,
        out_columns=columns,
        rows=rows,
        tiles=tiles,
        base=BASE,
        mode=mode,
    )
    turns = 1 if mode == "separate" else tiles
    count = turns * expected.shape[0] * expected.shape[1]
    taken, cycles = run(
        Fetcher(content, segments=segments),
        {"begin": [1]},
        outputs={"o": count},
        settings={"layer": fields},
        gaps=gaps,
    )
    words = np.array([list(o.lanes) for o in taken["o"]]).reshape(
        turns, *expected.shape[:2], segments, WORD_BYTES
    )
    return words, [o.tags for o in taken["o"]], expected, cycles


def same(words, expected, *, count, segments):
    """Whether the places that have a word are equal, tile by tile of the depth."""
    for index in range(expected.shape[0]):
        places = chain_places(min(segments, count - index * segments))
        if not np.array_equal(words[index][:, places], expected[index][:, places]):
            return False
    return True


SHAPES = {
    "3x3": {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1, 1, 1)},
    "3x3 by 2": {"kernel": (3, 3), "stride": (2, 2), "padding": (0, 1, 0, 1)},
    "3x3 by 2, padded": {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1, 1, 1)},
    "3x3 by 3": {"kernel": (3, 3), "stride": (1, 3), "padding": (1, 1, 0, 0)},
    "1x1": {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0, 0, 0)},
    "1x1 by 2": {"kernel": (1, 1), "stride": (2, 2), "padding": (0, 0, 0, 0)},
    "2x4": {"kernel": (2, 4), "stride": (1, 2), "padding": (0, 1, 1, 2)},
}
LAYOUTS = [
    # pack, group, channels, code width, height
    (0, 16, 16, 8, 4),
    (0, 16, 40, 5, 6),
    (0, 8, 20, 8, 7),
    (0, 4, 3, 8, 8),
    (1, 16, 17, 4, 7),
    (1, 8, 8, 3, 14),
    (2, 16, 16, 2, 8),
]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("pack", "group", "channels", "code_width", "height"), LAYOUTS)
def test_equals_golden(name, pack, group, channels, code_width, height):
    slots = 16 * (1 << pack) // group
    strip = -(-height // slots)
    layout = MapLayout(
        height=height, width=6, channels=channels, group=group, pack=pack,
        code_width=code_width, strip=strip + strip % 2,
    )  # fmt: skip
    words, _, expected, _ = fetch(layout, **SHAPES[name], segments=9, gaps=0.4)
    count = layout.groups * np.prod(SHAPES[name]["kernel"])
    assert same(words[0], expected, count=count, segments=9)


@pytest.mark.parametrize("segments", [3, 6, 12])
def test_tiles_and_tags(segments):
    layout = MapLayout(height=4, width=3, channels=9, group=8, pack=0, code_width=8, strip=2)
    words, tags, expected, _ = fetch(layout, **SHAPES["3x3"], segments=segments, tiles=3)
    assert same(words[0], expected, count=18, segments=segments)
    assert (words == words[:1]).all()
    pixels, depth = expected.shape[1], expected.shape[0]
    for k, tag in enumerate(tags):
        tile = k // pixels % depth
        assert (tag.first, tag.last) == (tile == 0, tile == depth - 1)
        assert tag.end == (k % pixels == pixels - 1)


@pytest.mark.parametrize(("name", "words"), [("3x3", 3), ("3x3 by 2", 6), ("1x1", 1), ("2x4", 8)])
def test_words_per_vector(name, words):
    layout = MapLayout(height=4, width=8, channels=16, group=16, pack=0, code_width=8, strip=4)
    _, _, expected, cycles = fetch(layout, **SHAPES[name], segments=9)
    columns = expected.shape[1] // (4 // SHAPES[name]["stride"][0])
    between = np.diff(cycles["o"])
    row_starts = np.arange(len(between)) % columns == columns - 1
    assert set(between[~row_starts]) == {words}
    count = np.prod(SHAPES[name]["kernel"])
    assert set(between[row_starts]) <= {count}
    assert cycles["o"][0] - cycles["begin"][0] == Fetcher.latency + count


@pytest.mark.parametrize(("kernel", "segments"), [((3, 3), 9), ((5, 2), 9), ((3, 3), 3)])
def test_separate_groups(kernel, segments):
    layout = MapLayout(height=6, width=5, channels=40, group=16, pack=0, code_width=8, strip=6)
    words, tags, expected, _ = fetch(
        layout, kernel=kernel, stride=(1, 1), padding=(1, 0, 1, 0), segments=segments,
        mode="separate", tiles=3, gaps=0.3,
    )  # fmt: skip
    depth = len(expected) // 3
    for tile in range(3):
        part = slice(tile * depth, (tile + 1) * depth)
        count = kernel[0] * kernel[1]
        assert same(words[0][part], expected[part], count=count, segments=segments)
    pixels = expected.shape[1]
    assert [t.first for t in tags] == [k // pixels % depth == 0 for k in range(len(tags))]
    assert [t.last for t in tags] == [k // pixels % depth == depth - 1 for k in range(len(tags))]


def test_keeps_one_pixel():
    layout = MapLayout(height=4, width=3, channels=40, group=8, pack=0, code_width=8, strip=2)
    words, tags, expected, _ = fetch(layout, **SHAPES["1x1"], segments=3, mode="keep", tiles=2)
    assert same(words[1], expected, count=5, segments=3)
    assert [k for k, tag in enumerate(tags) if tag.first] == [0, 12]
    assert [k for k, tag in enumerate(tags) if tag.last] == [11, 23]
    assert [k for k, tag in enumerate(tags) if tag.end] == [5, 11, 17, 23]


@pytest.mark.parametrize("rows", [range(1), range(1, 3), range(2, 5)])
def test_bands(rows):
    layout = MapLayout(height=9, width=4, channels=16, group=8, pack=0, code_width=8, strip=5)
    words, _, expected, _ = fetch(layout, **SHAPES["3x3"], segments=9, rows=rows)
    assert len(expected[0]) == 4 * len(rows)
    assert same(words[0], expected, count=18, segments=9)


def test_chains_refuse():
    with pytest.raises(ValueError, match=r"^Segments must be a multiple of 3, not 4$"):
        WordChains(segments=4)
