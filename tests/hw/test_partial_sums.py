# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from downshift.hw.mac import dot_layout
from downshift.hw.partial_sums import PartialSums, partial_sums, sums_layout
from downshift.sim.block_bench import run


def run_tiles(dots, *, depth, pipelined=True, gaps=0.0):
    tiles, vectors, rows = dots.shape
    values = [
        {"sums": dots[t, v].tolist(),
         "tags": {"first": t == 0, "last": t == tiles - 1, "end": v == vectors - 1}}
        for t in range(tiles) for v in range(vectors)
    ]  # fmt: skip
    # Twice: the second round must not see what the first left behind.
    dut = PartialSums(rows=rows, dot_width=20, depth=depth, pipelined=pipelined)
    taken, cycles = run(dut, {"i": values * 2}, outputs={"o": 2 * vectors}, gaps=gaps)
    return taken["o"], cycles


@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize("gaps", [0.0, 0.4, 0.8])
@pytest.mark.parametrize(("tiles", "vectors"), [(1, 1), (1, 8), (5, 1), (4, 2), (3, 3), (3, 8)])
def test_block_equals_golden(tiles, vectors, gaps, pipelined):
    rng = np.random.default_rng(tiles)
    dots = rng.integers(-(1 << 19), 1 << 19, (tiles, vectors, 3))
    taken, _ = run_tiles(dots, depth=8, pipelined=pipelined, gaps=gaps)
    sums = [list(o.sums) for o in taken]
    assert np.array_equal(sums, np.tile(partial_sums(dots), (2, 1)))
    assert [o.end for o in taken] == [v == vectors - 1 for v in range(vectors)] * 2


def test_extremes_of_int32():
    dots = np.full((4096, 1, 1), -(1 << 19))
    taken, _ = run_tiles(dots, depth=2)
    assert taken[0].sums[0] == -(1 << 31)


@pytest.mark.parametrize("pipelined", [True, False])
def test_latency_and_throughput(pipelined):
    dots = np.ones((4, 6, 1), int)
    _, cycles = run_tiles(dots, depth=8, pipelined=pipelined)
    assert set(np.diff(cycles["i"])) == {1}
    latency = PartialSums.latency_of(pipelined=pipelined)
    assert cycles["o"][0] - cycles["i"][18] == latency


@pytest.mark.parametrize(
    ("vectors", "pipelined", "step"), [(1, True, 3), (1, False, 2), (2, False, 1)]
)
def test_a_sum_on_its_way_is_waited_for(vectors, pipelined, step):
    _, cycles = run_tiles(np.ones((5, vectors, 1), int), depth=8, pipelined=pipelined)
    assert set(np.diff(cycles["i"][: 5 * vectors])) == {step}


class Passes(wiring.Component):
    """Partial sums in turns of two passes: sums are kept, then codes of a residual join them.

    A pass begins when the one before has ended.
    """

    def __init__(self, *, rows, depth):
        self.rows = rows
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(dot_layout(rows, 20))),
                "o": Out(stream.Signature(sums_layout(rows))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sums = sums = PartialSums(
            rows=self.rows, dot_width=20, depth=self.depth, all_layers=True
        )
        second, closed = Signal(), Signal()
        connect(m, sums.o, flipped(self.o))
        m.d.comb += [
            sums.i.p.eq(self.i.p),
            sums.i.valid.eq(self.i.valid & ~closed),
            self.i.ready.eq(sums.i.ready & ~closed),
            sums.keep.eq(~second),
            sums.resume.eq(second),
            sums.residual.eq(second),
        ]
        with m.If(self.i.valid & self.i.ready & self.i.p.tags.last & self.i.p.tags.end):
            m.d.sync += closed.eq(1)
        with m.If(sums.kept | (self.o.valid & self.o.ready & self.o.p.end)):
            m.d.sync += [closed.eq(0), second.eq(~second)]
        return m


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize(("tiles", "vectors"), [(1, 1), (1, 8), (5, 1), (4, 2), (3, 3), (3, 8)])
def test_kept_sums_are_gone_on_with(tiles, vectors, gaps):
    rng = np.random.default_rng(tiles)
    dots = rng.integers(-(1 << 19), 1 << 19, (tiles, vectors, 3))
    codes = rng.integers(0, 256, (1, vectors, 3))
    values = [
        {"sums": part[t, v].tolist(),
         "tags": {"first": t == 0, "last": t == len(part) - 1, "end": v == vectors - 1}}
        for part in (dots, codes) for t in range(len(part)) for v in range(vectors)
    ]  # fmt: skip
    taken, _ = run(
        Passes(rows=3, depth=8), {"i": values * 2}, outputs={"o": 2 * vectors}, gaps=gaps
    )
    sums = np.array([list(o.sums) for o in taken["o"]])
    # The code lies above the sum, which may have borrowed from it.
    expected = partial_sums(dots) + (codes[0] << 24)
    assert np.array_equal(sums.astype(np.int32), np.tile(expected, (2, 1)).astype(np.int32))
    assert [o.end for o in taken["o"]] == [v == vectors - 1 for v in range(vectors)] * 2
