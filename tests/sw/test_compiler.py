"""What the compiler writes, read back as the engine reads it, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from downshift.boards import find, names
from downshift.hw.config import AcceleratorConfig
from downshift.hw.descriptor import DESCRIPTOR_WORDS, PROFILES, descriptor_fields
from downshift.hw.errors import DownshiftError
from downshift.hw.mac import codes_per_byte
from downshift.hw.table_config import TableConfig
from downshift.hw.weight_loader import store_words
from downshift.sim.random_networks import Feature, random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.graph.integer_graph import IntegerGraph, Layer, Pool, Setting
from downshift.sw.quantization.freeze import freeze

CONFIG = AcceleratorConfig(weight_depth=8192, program_depth=2048, parameter_depth=2048)
SMALL = AcceleratorConfig(
    rows=4, lanes=8, requantizers=1, weight_depth=8192, activation_bytes=4096,
    parameter_depth=1024, partial_sum_depth=16, program_depth=8192,
)  # fmt: skip


def passes(image, width):
    """Descriptors of one width, as the sequencer walks through them."""
    words = np.frombuffer(image.program, "<u4").tolist()
    place, fields = words[width], {"last": 0}
    while not fields["last"]:
        fields = descriptor_fields(words[place : place + DESCRIPTOR_WORDS])
        place += DESCRIPTOR_WORDS
        yield fields


def layer_of(image, width, fields):
    """Index of the layer that a pass belongs to: where it reads and writes says it."""
    maps = image.maps[width]
    (index,) = (
        k
        for k in range(len(maps) - 1)
        if maps[k].base == fields["in_base"] and maps[k + 1].base <= fields["out_base"]
        and fields["out_base"] < maps[k + 1].end
    )  # fmt: skip
    return index


@pytest.mark.parametrize("config", [CONFIG, SMALL], ids=["plain", "small"])
@pytest.mark.parametrize("seed", range(6))
def test_every_pass_finds_the_numbers_of_its_layer_and_width(seed, config):
    graph = random_network(np.random.default_rng(seed))
    image = compile_graph(graph, config)
    kind = [("bias", "<i4"), ("multiplier", "<u2"), ("shift", "<u2")]
    parameters = np.frombuffer(image.parameters, kind)
    weights = np.frombuffer(image.weights, np.int8).reshape(-1, config.rows)
    for width in graph.widths:
        for fields in passes(image, width):
            layer = graph.layers[layer_of(image, width, fields)]
            setting = layer.settings[width]
            here = parameters[fields["parameter_base"] * config.requantizers :]
            for name in ("bias", "multiplier", "shift"):
                assert np.array_equal(here[name][: layer.out_channels], getattr(setting, name))
            words = store_words(layer.weight, rows=config.rows)
            assert np.array_equal(weights[fields["weight_base"] :][: len(words)], words)


@pytest.mark.parametrize("seed", range(6))
def test_every_pass_carries_the_codes_of_its_layer_and_width(seed):
    graph = random_network(np.random.default_rng(seed))
    image = compile_graph(graph, SMALL)
    for width in graph.widths:
        for fields in passes(image, width):
            setting = graph.layers[layer_of(image, width, fields)].settings[width]
            per_byte = codes_per_byte(setting.in_width)
            slot = 8 // per_byte
            pads = {fields["pad"] >> k * slot & (1 << slot) - 1 for k in range(per_byte)}
            assert pads == {setting.zero_point_in}
            centred = 8 if setting.centred else 0
            assert fields["weight_width"] == setting.weight_width + centred
            assert fields["zero_point"] == setting.zero_point_out
            logits = setting.out_width == 32
            assert fields["logits"] == logits
            most = 2**setting.out_width - 1 if setting.largest is None else setting.largest
            assert fields["out_max"] == (0 if logits else most)


@pytest.mark.parametrize("config", [CONFIG, SMALL], ids=["plain", "small"])
def test_bands_cover_every_pixel_once(config):
    graph = random_network(np.random.default_rng(1))
    image = compile_graph(graph, config)
    for width in graph.widths:
        pixels = [0] * len(graph.layers)
        for fields in passes(image, width):
            pixels[layer_of(image, width, fields)] += fields["last_pixel"] + 1
            sums = (fields["last_pixel"] + 1) * (fields["last_pool"] + 1)
            assert sums <= config.partial_sum_depth
        assert pixels == [shape[0] * shape[1] for shape in graph.shapes[1:]]


def test_widths_without_a_program_are_zero():
    image = compile_graph(random_network(np.random.default_rng(0)), CONFIG)
    starts = np.frombuffer(image.program, "<u4")[:PROFILES]
    assert np.flatnonzero(starts).tolist() == [6, 7, 8]


def network(
    *, channels=1, outputs=2, shape=(4, 4), kernel=(1, 1), pool=None, bias=0, depth=1, bottom=0
):
    """Layers `conv` on codes of 8 bits, all weights 127, and one that gives logits."""

    def layer(name, weight, out_width, pool=None, bias=0, bottom=0):
        n = len(weight)
        logits = out_width == 32
        setting = Setting(
            weight_width=8, in_width=8, out_width=out_width, zero_point_in=0, zero_point_out=0,
            bias=np.full(n, bias, np.int32), shift=np.full(n, 0 if logits else 20, np.uint8),
            multiplier=np.full(n, 0 if logits else 1 << 15, np.uint16),
        )  # fmt: skip
        return Layer(
            name=name, weight=weight, stride=(1, 1), padding=(0, bottom, 0, 0), pool=pool,
            settings={8: setting, 4: replace(setting, weight_width=4)},
        )  # fmt: skip

    first = layer(
        "conv", np.full((outputs, channels, *kernel), 127, np.int8), 8, pool, bias, bottom
    )
    height, width, _ = first.out_shape((*shape, channels))
    middle = np.full((outputs, outputs, 1, 1), 1, np.int8)
    last = layer("linear", np.full((2, outputs, height, width), 1, np.int8), 32)
    between = tuple(layer(f"point{k}", middle, 8) for k in range(depth - 1))
    return IntegerGraph(
        name="n", input_shape=(*shape, channels), input_scale=1.0, layers=(first, *between, last)
    )


REFUSED = {
    "weights": (
        network(channels=64, outputs=64, kernel=(3, 3)), {},
        (
            "The network needs 4,864 words of 8 weights, the accelerator has 2,048: "
            "2,816 too few; use an AcceleratorConfig with more weight_depth"
        ),
    ),
    "program": (
        network(depth=9), {},
        (
            "The network needs 416 program words, the accelerator has 256: "
            "160 too few; use an AcceleratorConfig with more program_depth"
        ),
    ),
    "parameters": (
        network(outputs=256), {"weight_depth": 8192},
        (
            "The network needs 264 words of 2 channels' parameters, the accelerator has 128: "
            "136 too few; use an AcceleratorConfig with more parameter_depth"
        ),
    ),
    "pool": (
        network(pool=Pool(size=(4, 4), stride=(1, 1))), {"partial_sum_depth": 8},
        (
            "Layer conv pools over 16 pixels, the accelerator holds sums of 8; "
            "use an AcceleratorConfig with more partial_sum_depth"
        ),
    ),
    "maps": (
        network(shape=(64, 64), outputs=1, pool=Pool(size=(16, 16), stride=(16, 16))),
        {"activation_bytes": 4096},
        (
            "Layer conv at width 8 needs 4,160 bytes of activation memory for its input and "
            "output, the accelerator has 4,096: 64 too few; "
            "use an AcceleratorConfig with more activation_bytes"
        ),
    ),
    "padding": (
        network(kernel=(8, 1), bottom=7, shape=(1, 64), channels=5),
        {"activation_bytes": 1024},
        (
            "Layer conv at width 8: its input with padding spans 2,560 bytes, "
            "the accelerator counts to 2,048; pad less or "
            "use an AcceleratorConfig with more activation_bytes"
        ),
    ),
    "sums": (
        network(channels=255, bias=2**31 - 8_258_174), {},
        (
            "Layer conv at width 8: sums may reach 0 … 2,147,483,649, beyond int32; "
            "use fewer inputs per output or smaller biases"
        ),
    ),
    "sums at half rate": (
        network(channels=255, bias=2**30 - 8_258_174), {"half_rate": True, "pipelined": False},
        (
            "Layer conv at width 8: sums may reach 0 … 1,073,741,825, beyond the 31 bits of "
            "half-rate requantizers; use fewer inputs per output or smaller biases"
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_said(case):
    graph, changes, message = REFUSED[case]
    with pytest.raises(DownshiftError) as caught:
        compile_graph(
            graph, replace(AcceleratorConfig(program_depth=256, parameter_depth=128), **changes)
        )
    assert str(caught.value) == message


BEYOND = {
    Feature.DEPTHWISE: r"is depthwise",
    Feature.AVERAGE: r"averages over its input",
    Feature.IDENTITY: r"adds the residual (layer\d|input)",
    Feature.SKIP: r"takes the map (layer\d|input), not layer\d",
}


@pytest.mark.parametrize("feature", BEYOND)
def test_what_the_engine_cannot_do_is_said(feature):
    graph = random_network(np.random.default_rng(3), features=[feature])
    rest = (
        r"which this accelerator cannot do; use an AcceleratorConfig with all_layers, or a "
        r"TableConfig \(--tables\)"
    )
    with pytest.raises(DownshiftError, match=rf"^Layer layer\d {BEYOND[feature]}, {rest}$"):
        compile_graph(graph, CONFIG)


def test_sources_that_name_the_layer_before_make_a_chain():
    graph = random_network(np.random.default_rng(2))
    names = ["input", *(layer.name for layer in graph.layers)]
    layers = [replace(a, source=b) for a, b in zip(graph.layers, names, strict=False)]
    named = compile_graph(replace(graph, layers=tuple(layers)), CONFIG)
    assert named.program == compile_graph(graph, CONFIG).program


def test_sums_just_inside_int32_compile():
    graph = network(channels=255, bias=2**31 - 1 - 127 * 255 * 255)
    assert compile_graph(graph, AcceleratorConfig()).widths == (8, 4)


@pytest.mark.parametrize("board", names())
def test_the_demo_fits_every_board(board, untrained, digits):
    frozen = freeze(untrained.eval(), input_shape=digits.input_shape, name="digits")
    assert compile_graph(frozen.graph, find(board).config).widths == (8, 6, 4, 2)


def test_multipliers_that_are_too_wide_are_refused():
    graph = random_network(np.random.default_rng(1), tables=True, multiplier_width=24)
    message = (
        r"^Network random rescales by multipliers of 24 bits, this accelerator by 16; import it "
        r"with --multiplier-width 16, or use a TableConfig \(--tables\)$"
    )
    for config in (CONFIG, TableConfig()):
        with pytest.raises(DownshiftError, match=message):
            compile_graph(graph, config)
    assert compile_graph(graph, TableConfig(multiplier_width=24)).widths == graph.widths
