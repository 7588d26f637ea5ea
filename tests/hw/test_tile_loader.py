# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from downshift.hw.aligned_switch import AlignedSwitch
from downshift.hw.code_groups import code_groups
from downshift.hw.precision_switch import precision_switch, switch_code
from downshift.hw.table import row_order
from downshift.hw.tile_loader import LoaderLayer, TileLoader, loader_fields
from downshift.hw.weight_tiles import dense_tiles, stored_tiles
from downshift.sim.block_bench import Rom, run

ROWS, DEPTH, BASE = 2, 256, 3


class Loader(wiring.Component):
    """A loader at a store of `content`."""

    def __init__(self, content, *, segments, rows=ROWS):
        self.content = content
        self.loader = TileLoader(rows=rows, segments=segments, depth=DEPTH)
        super().__init__(
            {
                "layer": In(LoaderLayer),
                "begin": In(stream.Signature(1)),
                "room": In(stream.Signature(1)),
                "o": Out(self.loader.o.signature),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.loader = loader = self.loader
        m.submodules.memory = memory = Rom(self.content, depth=DEPTH)
        connect(m, loader.read, memory.read)
        connect(m, loader.o, wiring.flipped(self.o))
        m.d.comb += [
            loader.layer.eq(self.layer),
            loader.room.eq(self.room.valid),
            self.room.ready.eq(loader.begun),
            loader.start.eq(self.begin.valid),
            self.begin.ready.eq(1),
        ]
        return m


@pytest.mark.parametrize("blank", [0b0000, 0b0110])
@pytest.mark.parametrize(
    "asked", [*({"width": width} for width in range(2, 9)), {"width": 3, "centred": True}]
)
def test_switch_equals_golden(asked, blank):
    codes = np.concatenate([np.zeros(12, int), np.arange(-128, 128)])  # width takes effect
    words = (codes.reshape(-1, 4) & 0xFF).tolist()
    taken, cycles = run(
        AlignedSwitch(lanes=4),
        {"i": [{"codes": word, "blank": blank} for word in words]},
        outputs={"o": 67},
        settings={"width": switch_code(**asked)},
        gaps=0.2,
    )
    expected = precision_switch(codes, **asked).reshape(-1, 4).astype(int)
    expected[:, [k for k in range(4) if blank >> k & 1]] = 0
    expected = expected << 8 - asked["width"] & 0xFF
    assert np.array_equal([list(word) for word in taken["o"]][3:], expected[3:])
    assert cycles["o"][0] - cycles["i"][0] >= AlignedSwitch.latency


@pytest.mark.parametrize("gaps", [0.0, 0.5])
@pytest.mark.parametrize(
    ("out_channels", "in_channels", "kernel", "group", "segments", "width"),
    [
        (2, 16, (3, 3), 16, 9, 8),
        (3, 20, (3, 3), 8, 9, 4),
        (4, 3, (3, 3), 4, 9, 6),
        (1, 33, (1, 1), 16, 9, 2),
        (5, 8, (2, 2), 4, 3, 3),
        (2, 40, (1, 2), 8, 6, 5),
    ],
)
def test_tiles_equal_golden(out_channels, in_channels, kernel, group, segments, width, gaps):
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, (out_channels, in_channels, *kernel), np.int8)
    shape = {"group": group, "segments": segments}
    stored = stored_tiles(weights, **shape, rows=ROWS)
    content = rng.integers(0, 256, (DEPTH, 3 * ROWS))
    content[BASE : BASE + len(stored)] = stored.reshape(len(stored), -1).astype(int) & 0xFF
    field = -(-in_channels // group) * kernel[0] * kernel[1]
    tiles, depth = -(-out_channels // ROWS), -(-field // segments)
    count = tiles * depth * group * segments // 3
    fields = loader_fields(width=width, tiles=tiles, words=field, base=BASE, **shape)
    taken, cycles = run(
        Loader(content.tolist(), segments=segments),
        {"begin": [1], "room": [1] * (tiles * depth)},
        outputs={"o": count},
        settings={"layer": fields},
        gaps=gaps,
    )
    begun = np.array(cycles["room"])[:, None] + TileLoader.latency
    assert np.array_equal(
        np.reshape(cycles["o"], (tiles * depth, -1)), begun + np.arange(group * segments // 3)
    )
    words = np.array([[list(row) for row in word] for word in taken["o"]])
    words = words.reshape(tiles, depth, segments // 3, group, ROWS, 3)
    by_row = stored[:, np.argsort(row_order(ROWS))]
    switched = precision_switch(by_row, width=width).astype(int) << 8 - width & 0xFF
    used = -(-(field - (depth - 1) * segments) // 3)
    assert not words[:, -1, used:].any()
    full = words[:, :-1].reshape(tiles, -1, ROWS, 3)
    last = words[:, -1, :used].reshape(tiles, -1, ROWS, 3)
    assert np.array_equal(np.concatenate([full, last], axis=1).reshape(-1, ROWS, 3), switched)


@pytest.mark.parametrize("kernel", [(3, 3), (5, 3)])
def test_separate_tiles_are_diagonal(kernel):
    rng = np.random.default_rng(0)
    group, segments = 4, 9
    weights = rng.integers(-128, 128, (7, 1, *kernel), np.int8)
    shape = {"group": group, "segments": segments}
    stored = stored_tiles(weights, **shape, separate=True, rows=4)
    content = rng.integers(0, 256, (DEPTH, 12))
    content[BASE : BASE + len(stored)] = stored.reshape(len(stored), -1).astype(int) & 0xFF
    field = kernel[0] * kernel[1]
    depth = -(-field // segments)
    fields = loader_fields(width=8, tiles=2, words=field, base=BASE, mode="separate", **shape)
    taken, _ = run(
        Loader(content.tolist(), segments=segments, rows=4),
        {"begin": [1], "room": [1] * (2 * depth)},
        outputs={"o": 2 * depth * group * segments // 3},
        settings={"layer": fields},
    )
    words = np.array([[list(row) for row in word] for word in taken["o"]])
    dense = np.zeros((8, 4, *kernel), np.int8)  # each output channel over those of its group
    for channel in range(7):
        dense[channel, channel % group] = weights[channel, 0]
    expected = [
        stored_tiles(part, group=group, rows=4, segments=segments)
        for part in (dense[:4], dense[4:])
    ]
    words = words.reshape(2, -1, 4, 3)
    for got, want in zip(words, expected, strict=True):
        by_row = want[:, np.argsort(row_order(4))]
        assert np.array_equal(got[: len(want)], by_row.astype(int) & 0xFF)
        assert not got[len(want) :].any()


@pytest.mark.parametrize("kernel_rows", [1, 3, 8])
@pytest.mark.parametrize("segments", [3, 9])
def test_plain_tiles_come_once(kernel_rows, segments):
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, (10, 1, kernel_rows, 3), np.int8)
    stored = stored_tiles(weights, group=4, segments=segments, separate=True, rows=8)
    content = rng.integers(0, 256, (DEPTH, 24))
    content[BASE : BASE + len(stored)] = stored.reshape(len(stored), -1).astype(int) & 0xFF
    fields = loader_fields(
        width=6, group=4, tiles=3, words=3 * kernel_rows, segments=segments, base=BASE,
        mode="column",
    )  # fmt: skip
    taken, _ = run(
        Loader(content.tolist(), segments=segments, rows=8),
        {"begin": [1], "room": [1] * 3},
        outputs={"o": 3 * kernel_rows},
        settings={"layer": fields},
        gaps=0.3,
    )
    words = np.array([[list(row) for row in word] for word in taken["o"]])
    switched = precision_switch(weights, width=6).astype(int) << 2 & 0xFF
    for tile, row, channel in np.ndindex(3, kernel_rows, 4):
        expected = switched[4 * tile + channel, 0, row] if 4 * tile + channel < 10 else [0] * 3
        for copy in (channel, channel + 4):
            assert np.array_equal(words[tile * kernel_rows + row, copy], expected)


@pytest.mark.parametrize(
    ("out_channels", "in_channels", "kernel", "segments"),
    [(5, 100, (1, 1), 6), (2, 33, (1, 1), 3), (1, 20, (3, 2), 6), (3, 16, (1, 1), 9)],
)
def test_dense_tiles_come_once(out_channels, in_channels, kernel, segments):
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, (out_channels, in_channels, *kernel), np.int8)
    stored = dense_tiles(weights, rows=ROWS, segments=segments)
    content = rng.integers(0, 256, (DEPTH, 3 * ROWS))
    content[BASE : BASE + len(stored)] = stored.reshape(len(stored), -1).astype(int) & 0xFF
    field = -(-in_channels // 16) * kernel[0] * kernel[1]
    tiles, depth = -(-out_channels // ROWS), -(-field // segments)
    fields = loader_fields(
        width=4, group=16, tiles=tiles, words=field, segments=segments, base=BASE, mode="dense"
    )
    taken, _ = run(
        Loader(content.tolist(), segments=segments),
        {"begin": [1], "room": [1] * (tiles * depth)},
        outputs={"o": len(stored)},
        settings={"layer": fields},
        gaps=0.3,
    )
    words = np.array([[list(row) for row in word] for word in taken["o"]])
    by_row = stored[:, np.argsort(row_order(ROWS))]
    assert np.array_equal(words, precision_switch(by_row, width=4).astype(int) << 4 & 0xFF)


def test_dense_tiles_hold_every_weight_once():
    weights = np.arange(1, 2 * 40 * 2 + 1).reshape(2, 40, 1, 2).astype(np.uint8).view(np.int8)
    stored = dense_tiles(weights, rows=2, segments=3).view(np.uint8)
    assert sorted(stored[stored != 0].tolist()) == list(range(1, 161))
    codes = np.zeros((2, 3, 16), np.uint8)  # (column, group, channel)
    codes.reshape(2, -1)[:, :40] = np.arange(1, 81).reshape(2, 40)
    words = codes.transpose(1, 0, 2).reshape(-1, 16)  # groups one after the other, as they come
    order = [[p and (first + p[0], p[1]) for p in g] for first in (0, 3) for g in code_groups(3)]
    met = [[0 if p is None else words[p] for p in group] for group in order]
    sums = np.einsum("gk,grk->r", np.array(met, int), stored.view(np.int8).astype(int))
    by_channel = codes.reshape(2, -1)[:, :40].astype(int)
    expected = np.einsum("wc,rcw->r", by_channel, weights[:, :, 0].astype(int))
    assert np.array_equal(sums[np.argsort(row_order(2))], expected)
