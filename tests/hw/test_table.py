# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from downshift.hw.bit_serializer import bit_planes
from downshift.hw.table import (
    LAYOUTS,
    WEIGHT_WIDTHS,
    load_order,
    table_entries,
    table_offset,
    table_scale,
    table_slots,
    table_sums,
    table_vectors,
)
from downshift.hw.table_array import TableArray
from downshift.hw.table_fill import entry_walk, fill_cycles
from downshift.sim.block_bench import run

PAIRS = [
    # Every width of the weights, every width of the activations.
    (pack, channels, weight_width, 2 + weight_width % ((8 >> pack) - 1))
    for pack in LAYOUTS
    for channels in LAYOUTS[pack]
    for weight_width in range(2, WEIGHT_WIDTHS[pack] + 1)
]


def draw(rng, *, rows, segments, pack, channels, weight_width, act_width, tiles, vectors):
    """Weights (tiles, rows, segments, channels), codes (tiles, vectors, slots, segments, ...)."""
    top = 1 << (weight_width - 1)
    slots = table_slots(pack=pack, channels=channels)
    weights = rng.integers(-top, top, (tiles, rows, segments, channels))
    codes = rng.integers(0, 1 << act_width, (tiles, vectors, slots, segments, channels))
    weights[0, 0], weights[-1, -1], codes[0, 0] = -top, top - 1, (1 << act_width) - 1
    return weights, codes.astype(np.uint8)


def tile_words(weights, *, columns, weight_width):
    """Words of `TableArray.i_weights`: weights (tiles, rows, segments, channels)."""
    spare = -weights.shape[2] % columns
    padded = np.pad(weights, ((0, 0), (0, 0), (0, spare), (0, 0)), constant_values=-1)
    split = padded.reshape(*weights.shape[:2], -1, columns, weights.shape[3])
    ordered = split[..., load_order(weights.shape[3])]
    words = ordered.transpose(0, 2, 4, 1, 3) << (8 - weight_width) & 0xFF
    return words.reshape(-1, weights.shape[1], columns).tolist()


def run_array(dut, weights, codes, *, pack, weight_width, act_width, cycles=None, gaps=0.0):
    tiles, vectors = codes.shape[:2]
    packed = table_vectors(codes, width=act_width, pack=pack)
    tags = [
        {"first": t == 0, "last": t == tiles - 1, "end": v == vectors - 1}
        for t in range(tiles)
        for v in range(vectors)
    ]
    lanes = packed.reshape(tiles * vectors, -1).tolist()
    return run(
        dut,
        {
            "i_weights": tile_words(weights, columns=dut.columns, weight_width=weight_width),
            "i_acts": [{"lanes": v, "tags": t} for v, t in zip(lanes, tags, strict=True)],
        },
        outputs={"o": tiles * vectors},
        settings={
            "pack": pack,
            "fill_pack": pack,
            "channels": (weights.shape[3] // 4).bit_length() - 1,
            "act_width": act_width,
            "cycles": cycles or act_width,
        },
        gaps=gaps,
        steady=["i_weights"],
    )


def golden(weights, codes, **widths):
    return np.concatenate([table_sums(w, c, **widths) for w, c in zip(weights, codes, strict=True)])


def test_sums_are_dot_products():
    rng = np.random.default_rng(0)
    widths = {"pack": 1, "weight_width": 4, "act_width": 3}
    weights, codes = draw(rng, rows=2, segments=3, channels=8, tiles=1, vectors=2, **widths)
    sums = golden(weights, codes, **widths)
    offset = table_offset(act_width=3, pack=1, segments=3)
    dots = (sums - offset) // table_scale(weight_width=4, pack=1)
    # Eight channels take one quarter: each slot has one.
    assert np.array_equal(dots, np.einsum("rjc,vsjc->vrs", weights[0], codes[0].astype(int)))


def test_entries_walk_one_weight_at_a_time():
    rng = np.random.default_rng(0)
    for width in range(2, 9):
        weights = rng.integers(-1 << width - 1, 1 << width - 1, 4)
        entries = table_entries(weights, width=width)
        value = 512
        for entry, weight, negate in entry_walk():
            assert entries[entry] == value
            value += int(weights[weight] << 8 - width) * (-1 if negate else 1)


@pytest.mark.parametrize("pack", LAYOUTS)
def test_planes_are_the_bits_of_the_codes(pack):
    width, channels = 8 >> pack, 16
    slots = table_slots(pack=pack, channels=channels)
    codes = np.random.default_rng(pack).integers(0, 1 << width, (slots, 2, channels), np.uint8)
    planes = bit_planes(table_vectors(codes, width=width, pack=pack), width=width, pack=pack)
    for slot, segment, channel in np.ndindex(codes.shape):
        part, rest = divmod(channel, 4 << pack)
        table, lane = divmod(rest, 4)
        lane += 16 * segment + 4 * (slot * 4 // slots + part)
        bits = planes[:, lane] >> (table * 4 >> pack) & 1
        code = sum(int(bit) << width - 1 - k for k, bit in enumerate(bits))
        assert code == codes[slot, segment, channel]


@pytest.mark.parametrize(("pack", "channels", "weight_width", "act_width"), PAIRS)
def test_equals_golden_at_every_pair_of_widths(pack, channels, weight_width, act_width):
    rng = np.random.default_rng(weight_width * 10 + act_width)
    widths = {"pack": pack, "weight_width": weight_width, "act_width": act_width}
    weights, codes = draw(rng, rows=2, segments=3, channels=channels, tiles=2, vectors=3, **widths)
    dut = TableArray(rows=2, segments=3, columns=2)
    taken = run_array(dut, weights, codes, **widths, gaps=0.3)[0]["o"]
    sums = [[list(row) for row in o.sums] for o in taken]
    assert np.array_equal(sums, golden(weights, codes, **widths))


class Hurried(TableArray):
    """Is told of other tables to fill as soon as there is room for their weights."""

    def elaborate(self, platform):
        m = Module()
        told = Signal.like(self.fill_pack)
        was_full = Signal()
        m.d.sync += was_full.eq(~self.i_weights.ready)
        with m.If(was_full & self.i_weights.ready):
            m.d.sync += told.eq(2)
        inner = TableArray(rows=self.rows, segments=self.segments, columns=self.columns)
        m.submodules.inner = inner
        for name, member in self.signature.members.items():
            if name == "fill_pack":
                m.d.comb += inner.fill_pack.eq(self.fill_pack | told)
            elif member.is_signature:
                outer = wiring.flipped(getattr(self, name))
                wiring.connect(m, getattr(inner, name), outer)
            elif member.flow is In:
                m.d.comb += getattr(inner, name).eq(getattr(self, name))
            else:
                m.d.comb += getattr(self, name).eq(getattr(inner, name))
        return m


@pytest.mark.parametrize("channels", LAYOUTS[0])
def test_the_next_pass_may_have_other_tables(channels):
    rng = np.random.default_rng(channels)
    widths = {"pack": 0, "weight_width": 8, "act_width": 8}
    weights, codes = draw(rng, rows=2, segments=3, channels=channels, tiles=1, vectors=20, **widths)
    dut = Hurried(rows=2, segments=3, columns=3)
    taken = run_array(dut, weights, codes, **widths)[0]["o"]
    sums = [[list(row) for row in o.sums] for o in taken]
    assert np.array_equal(sums, golden(weights, codes, **widths))


@pytest.mark.parametrize(("rows", "segments", "columns"), [(1, 1, 1), (3, 2, 1), (1, 9, 3)])
def test_shapes_and_tags(rows, segments, columns):
    rng = np.random.default_rng(rows)
    widths = {"pack": 1, "weight_width": 5, "act_width": 3}
    shape = {"rows": rows, "segments": segments, "channels": 16, "tiles": 2, "vectors": 2}
    weights, codes = draw(rng, **shape, **widths)
    dut = TableArray(rows=rows, segments=segments, columns=columns)
    taken = run_array(dut, weights, codes, **widths, gaps=0.6)[0]["o"]
    sums = [[list(row) for row in o.sums] for o in taken]
    assert np.array_equal(sums, golden(weights, codes, **widths))
    ends = [(o.tags.first, o.tags.last, o.tags.end) for o in taken]
    assert ends == [(1, 0, 0), (1, 0, 1), (0, 1, 0), (0, 1, 1)]


@pytest.mark.parametrize(("act_width", "cycles"), [(8, 8), (2, 2), (3, 7)])
def test_latency_and_throughput(act_width, cycles):
    rng = np.random.default_rng(0)
    widths = {"pack": 0, "weight_width": 8, "act_width": act_width}
    weights, codes = draw(rng, rows=1, segments=2, channels=8, tiles=2, vectors=30, **widths)
    dut = TableArray(rows=1, segments=2, columns=2)
    _, when = run_array(dut, weights, codes, **widths, cycles=cycles)
    assert when["o"][0] - when["i_acts"][0] == dut.latency + act_width - 1
    between = np.diff(when["i_acts"])
    refill = act_width + fill_cycles(8, pack=0)
    assert between[29] == max(cycles, refill)
    assert set(np.delete(between, 29)) == {cycles}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 0, "segments": 1, "columns": 1}, "^Rows must be a positive integer, not 0$"),
        ({"rows": 1, "segments": 1, "columns": 2}, "^Columns must be at most segments = 1, not 2$"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        TableArray(**arguments)
