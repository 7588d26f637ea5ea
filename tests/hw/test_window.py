# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.descriptor import LayerDescriptor
from downshift.hw.store import ActivationStore
from downshift.hw.window import Window, im2col, window_vectors
from downshift.sim.block_bench import read_store, run

LANES, DEPTH, BASE = 4, 512, 9


class WindowWithMemory(wiring.Component):
    """A window on a memory of bytes, read `LANES` at a time."""

    def __init__(self, content, *, pipelined, all_layers=False):
        self.content = content
        self.window = Window(
            lanes=LANES, depth=DEPTH, pixels=256, pipelined=pipelined, all_layers=all_layers
        )
        super().__init__(
            {
                "layer": In(LayerDescriptor),
                "start": In(1),
                "o": Out(self.window.o.signature),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.window = window = self.window
        rows = np.stack([np.roll(self.content, -k) for k in range(LANES)], axis=1).astype(int)
        words = (rows << 8 * np.arange(LANES)).sum(1)
        latency = ActivationStore.latency_of(pipelined=window.pipelined)
        read_store(m, words.tolist(), window, latency=latency)
        m.d.comb += [window.layer.eq(self.layer), window.start.eq(self.start)]
        wiring.connect(m, window.o, wiring.flipped(self.o))
        return m


def descriptor(shape, *, kernel, stride, padding, pad, pool, pool_stride, tiles):
    height, width, size = shape
    out = [
        (n + padding[2 * k] + padding[2 * k + 1] - kernel[k]) // stride[k] + 1
        for k, n in enumerate((height, width))
    ]
    pooled = [(n - p) // s + 1 for n, p, s in zip(out, pool, pool_stride, strict=True)]
    row = width * size
    return {
        "pad": pad, "last_row": pooled[0] - 1, "last_column": pooled[1] - 1,
        "last_pool_row": pool[0] - 1, "last_pool_column": pool[1] - 1,
        "last_kernel_row": kernel[0] - 1, "last_chunk": -(-kernel[1] * size // LANES) - 1,
        "last_tile": tiles - 1, "in_base": BASE, "row_start": -padding[0] * row,
        "column_start": -padding[2] * size, "row_bytes": row, "map_bytes": height * row,
        "step_x": stride[1] * size, "step_y": stride[0] * row,
        "step_column": pool_stride[1] * stride[1] * size,
        "step_row": pool_stride[0] * stride[0] * row,
    }  # fmt: skip


GEOMETRIES = {
    "point": {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0, 0, 0)},
    "padded": {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1, 1, 1)},
    "strided": {"kernel": (2, 3), "stride": (2, 3), "padding": (1, 0, 2, 1)},
    "whole": {"kernel": (5, 6), "stride": (1, 1), "padding": (0, 0, 0, 0)},
}
POOLS = {
    "none": {"pool": (1, 1), "pool_stride": (1, 1)},
    "2x2": {"pool": (2, 2), "pool_stride": (2, 2)},
    "overlapping": {"pool": (2, 1), "pool_stride": (1, 2)},
}


@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize(
    ("geometry", "pool"),
    [(g, p) for g in GEOMETRIES for p in POOLS if g != "whole" or p == "none"],
)
def test_equals_golden(geometry, pool, size, gaps, pipelined):
    content = np.random.default_rng(size).integers(0, 256, DEPTH).astype(np.uint8)
    pixels = content[BASE : BASE + 5 * 6 * size].reshape(5, 6, size)
    shape = GEOMETRIES[geometry] | POOLS[pool] | {"pad": 77}
    expected = window_vectors(pixels, **shape, lanes=LANES)
    rows, chunks, vectors, _ = expected.shape
    dut = WindowWithMemory(content, pipelined=pipelined)
    taken, cycles = run(
        dut, {},
        outputs={"o": 2 * rows * chunks * vectors},
        settings={"layer": descriptor(pixels.shape, **shape, tiles=2), "start": 1}, gaps=gaps,
    )  # fmt: skip
    run_bytes = shape["kernel"][1] * size
    inside = (np.arange(chunks * LANES) < run_bytes).reshape(chunks, 1, LANES)
    got = np.array([list(o.lanes) for o in taken["o"]]).reshape(2, *expected.shape)
    assert np.array_equal(np.where(inside, got, 0), np.stack([expected] * 2))

    tags = np.array([[o.tags.first, o.tags.last, o.tags.end] for o in taken["o"]])
    tags = tags.reshape(2, rows * chunks, vectors, 3)
    assert np.array_equal(tags[0, :, :, 0].all(1), np.arange(rows * chunks) == 0)
    assert np.array_equal(tags[0, :, :, 1].all(1), np.arange(rows * chunks) == rows * chunks - 1)
    assert (tags[..., 2] == (np.arange(vectors) == vectors - 1)).all()
    if not gaps:
        assert cycles["o"][0] == dut.window.latency
        assert set(np.diff(cycles["o"])) <= {1}


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize("first", [0, 4])
@pytest.mark.parametrize(
    ("geometry", "pool"),
    [(g, p) for g in GEOMETRIES for p in POOLS if g != "whole" or p == "none"],
)
def test_a_group_is_a_map_of_its_own(geometry, pool, first, gaps):
    content = np.random.default_rng(first).integers(0, 256, DEPTH).astype(np.uint8)
    pixels = content[BASE : BASE + 5 * 6 * 8].reshape(5, 6, 8)
    shape = GEOMETRIES[geometry] | POOLS[pool] | {"pad": 77}
    expected = window_vectors(pixels[..., first : first + LANES], **shape, lanes=LANES)
    rows, chunks, vectors, _ = expected.shape
    layer = descriptor(pixels.shape, **shape, tiles=1)
    layer |= {"grouped": 1, "column_bytes": 8, "last_chunk": shape["kernel"][1] - 1}
    layer["column_start"] += first
    assert chunks == shape["kernel"][1]
    dut = WindowWithMemory(content, pipelined=True, all_layers=True)
    taken, cycles = run(
        dut, {},
        outputs={"o": 2 * rows * chunks * vectors},
        settings={"layer": layer, "start": 1}, gaps=gaps,
    )  # fmt: skip
    got = np.array([list(o.lanes) for o in taken["o"]]).reshape(2, *expected.shape)
    assert np.array_equal(got, np.stack([expected] * 2))
    if not gaps:
        assert set(np.diff(cycles["o"][: rows * chunks * vectors])) <= {1}


def test_golden_by_hand():
    pixels = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    vectors = window_vectors(
        pixels, kernel=(2, 2), stride=(1, 1), padding=(0, 0, 1, 0), pad=9, lanes=4
    )
    assert vectors.tolist() == [[[[9, 0, 0, 0], [0, 1, 0, 0]]], [[[9, 2, 0, 0], [2, 3, 0, 0]]]]
    unfolded = im2col(
        pixels[None], kernel=(2, 2), stride=(1, 1), padding=(0, 0, 1, 0), zero_point=9
    )
    assert unfolded.shape == (1, 1, 2, 2, 2, 1)
