# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.descriptor import LayerDescriptor
from downshift.hw.mac import codes_per_byte
from downshift.hw.precision_switch import precision_switch
from downshift.hw.store import Store
from downshift.hw.weight_loader import WeightLoader, store_words, tile_words
from downshift.sim.block_bench import read_store, run

ROWS, LANES, DEPTH, BASE = 2, 4, 512, 5


class LoaderWithStore(wiring.Component):
    """A loader on a store that holds `words` from `BASE` on."""

    def __init__(self, words, *, pipelined, all_layers=False):
        self.words = words
        self.loader = WeightLoader(
            rows=words.shape[1], lanes=LANES, depth=DEPTH, activation_bytes=256,
            pipelined=pipelined, all_layers=all_layers,
        )  # fmt: skip
        super().__init__(
            {
                "layer": In(LayerDescriptor),
                "start": In(1),
                "o": Out(self.loader.o.signature),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.loader = loader = self.loader
        places = 1 << 8 * np.arange(self.words.shape[1], dtype=object)
        content = (self.words.astype(np.uint8).astype(object) * places).sum(1)
        words = [0] * BASE + content.tolist()
        read_store(
            m,
            words + [0] * (DEPTH - len(words)),
            loader,
            latency=Store.latency_of(pipelined=loader.pipelined),
        )
        m.d.comb += [loader.layer.eq(self.layer), loader.start.eq(self.start)]
        wiring.connect(m, loader.o, wiring.flipped(self.o))
        return m


@pytest.mark.parametrize("pipelined", [True, False])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize(("weight_width", "act_width"), [(8, 8), (5, 4), (4, 3), (2, 2), (7, 2)])
@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (3, 3, 3, 3), (5, 4, 2, 1), (1, 7, 1, 4)])
def test_equals_golden(shape, weight_width, act_width, gaps, pipelined):
    weights = np.random.default_rng(weight_width).integers(-128, 128, shape).astype(np.int8)
    per_byte = codes_per_byte(act_width)
    slots = -(-shape[1] // per_byte) * per_byte
    chunk = LANES * per_byte
    layer = {
        "weight_width": weight_width, "in_pack": per_byte.bit_length() - 1,
        "last_kernel_row": shape[2] - 1, "kernel_columns": shape[3],
        "last_tile": -(-shape[0] // ROWS) - 1, "last_chunk": -(-shape[3] * slots // chunk) - 1,
        "channels": shape[1], "last_slot": slots - 1, "weight_base": BASE,
    }  # fmt: skip
    running = precision_switch(weights, width=weight_width)
    expected = tile_words(running, rows=ROWS, chunk=chunk, slots=slots)
    dut = LoaderWithStore(store_words(weights, rows=ROWS), pipelined=pipelined)
    taken, cycles = run(
        dut, {},
        outputs={"o": 2 * len(expected)},  # start stays high: a second pass follows
        settings={"layer": layer, "start": 1}, gaps=gaps,
    )  # fmt: skip
    assert np.array_equal([list(o) for o in taken["o"]], np.tile(expected, (2, 1)))
    if not gaps:
        assert cycles["o"][0] == WeightLoader.latency_of(pipelined=pipelined)
        assert set(np.diff(cycles["o"][: len(expected)])) <= {1}


def test_every_weight_is_stored_once():
    weights = np.arange(60, dtype=np.int8).reshape(5, 3, 2, 2)
    words = store_words(weights, rows=4)
    assert words.shape == (2 * 2 * 2 * 3, 4)
    assert sorted(words[words != 0].tolist()) == list(range(1, 60))


def test_order_of_a_tile():
    weights = np.arange(1, 7, dtype=np.int8).reshape(1, 3, 1, 2)  # channels 3, columns 2
    words = tile_words(weights, rows=1, chunk=4, slots=4)
    assert words.ravel().tolist() == [1, 3, 5, 0, 2, 4, 6, 0]


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize(("rows", "act_width", "first_row"), [(2, 8, 0), (8, 8, 4), (8, 4, 0)])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5)])
def test_groups_have_weights_of_their_own(kernel, rows, act_width, first_row, gaps):
    weights = np.random.default_rng(rows).integers(-128, 128, (rows, 1, *kernel)).astype(np.int8)
    codes = LANES * codes_per_byte(act_width)
    layer = {
        "weight_width": 5, "in_pack": codes_per_byte(act_width).bit_length() - 1,
        "last_kernel_row": kernel[0] - 1, "kernel_columns": kernel[1],
        "last_chunk": kernel[1] - 1, "channels": codes, "last_slot": codes - 1,
        "weight_base": BASE, "grouped": 1, "first_row": first_row // 4,
    }  # fmt: skip
    # The same as a layer without groups, whose other weights are 0.
    channels = np.arange(codes) + first_row == np.arange(rows)[:, None]
    whole = np.where(channels[..., None, None], weights, 0).astype(np.int8)
    running = precision_switch(whole, width=5)
    expected = tile_words(running, rows=rows, chunk=codes, slots=codes)
    stored = store_words(weights, rows=rows)
    assert stored.shape == (kernel[0] * kernel[1], rows)
    dut = LoaderWithStore(stored, pipelined=True, all_layers=True)
    taken, cycles = run(
        dut, {},
        outputs={"o": 2 * len(expected)},
        settings={"layer": layer, "start": 1}, gaps=gaps,
    )  # fmt: skip
    assert np.array_equal([list(o) for o in taken["o"]], np.tile(expected, (2, 1)))
    if not gaps:
        assert cycles["o"][0] == WeightLoader.latency_of(pipelined=True)
        assert set(np.diff(cycles["o"][: len(expected)])) <= {1}


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize("act_width", [8, 4, 2])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 5)])
@pytest.mark.parametrize("channels", [3, 8])
def test_all_pixels_meet_the_same_weights(channels, size, act_width, gaps):
    weights = np.random.default_rng(channels).integers(-128, 128, (ROWS, channels, 1, 1))
    weights = weights.astype(np.int8)
    per_byte = codes_per_byte(act_width)
    slots = -(-channels // per_byte) * per_byte
    chunk = LANES * per_byte
    layer = {
        "weight_width": 8, "in_pack": per_byte.bit_length() - 1,
        "last_kernel_row": size[0] - 1, "kernel_columns": size[1],
        "last_chunk": -(-size[1] * slots // chunk) - 1,
        "channels": channels, "last_slot": slots - 1, "weight_base": BASE, "repeat": 1,
    }  # fmt: skip
    everywhere = np.broadcast_to(weights, (ROWS, channels, *size))
    expected = tile_words(everywhere, rows=ROWS, chunk=chunk, slots=slots)
    dut = LoaderWithStore(store_words(weights, rows=ROWS), pipelined=True, all_layers=True)
    taken, _ = run(
        dut, {},
        outputs={"o": 2 * len(expected)},
        settings={"layer": layer, "start": 1}, gaps=gaps,
    )  # fmt: skip
    assert np.array_equal([list(o) for o in taken["o"]], np.tile(expected, (2, 1)))
