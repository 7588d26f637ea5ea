import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from downshift.hw.conv_layer import ConvLayer
from downshift.hw.descriptor import descriptor_fields
from downshift.hw.errors import DownshiftError
from downshift.hw.precision_switch import precision_switch
from downshift.hw.sequencer import program_layers
from downshift.hw.table_config import TableConfig
from downshift.sim.random_networks import Feature, random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.compile.image import Image
from downshift.sw.compile.table_parameters import layer_parameters, sum_shift
from downshift.sw.compile.word_map import WordMap, stored_width
from downshift.sw.compile.word_plan import plan_words
from downshift.sw.graph.reference_networks import reference_network

CONFIG = TableConfig(segments=9, parameter_depth=16384, program_depth=8192, weight_depth=8192)
RESNET8 = reference_network("resnet8")


ONCE = replace(CONFIG, weight_depth=1676)
"""No room for a second arrangement of any weights."""


def passes(image, width):
    program = np.frombuffer(image.program, "<u4").tolist()
    return [
        descriptor_fields(words, ConvLayer) for words in program_layers(program, width, ConvLayer)
    ]


@pytest.mark.parametrize("width", RESNET8.widths)
def test_a_pass_for_each_layer(width):
    image = compile_graph(RESNET8, CONFIG)
    fields = passes(image, width)
    assert [entry["last"] for entry in fields] == [0] * (len(RESNET8.layers) - 1) + [1]
    assert [entry["residual"]["enable"] for entry in fields] == [
        layer.residual is not None for layer in RESNET8.layers
    ]
    assert {entry["loader"]["width"] for entry in fields} == {width}


def test_passes_share_weights_but_not_parameters():
    image = compile_graph(RESNET8, ONCE)
    by_width = {width: passes(image, width) for width in image.widths}
    weights = {tuple(entry["loader"]["base"] for entry in fields) for fields in by_width.values()}
    assert len(weights) == 1
    parameters = [e["parameters"]["base"] for fields in by_width.values() for e in fields]
    assert len(set(parameters)) == len(parameters)


def test_images_come_back():
    image = compile_graph(RESNET8, CONFIG)
    loaded = Image.from_bytes(image.to_bytes())
    assert loaded.to_bytes() == image.to_bytes()
    assert (loaded.config, loaded.maps) == (image.config, image.maps)


def test_sums_of_many_rows_come_in_bands():
    small = replace(ONCE, sum_depth=64)
    rows = [entry["fetch"]["last_row"] + 1 for entry in passes(compile_graph(RESNET8, small), 8)]
    assert rows[:3] == [8, 32, 32]
    assert [row for row in rows if row == 4] == [4] * 4  # 16 x 16 pixels of 64 sums
    assert sum(rows[3:]) == 16 + 16 + 16 + 8 + 8 + 8 + 8


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("weight_depth", 1000, r"needs 1,676 words of 48 weights, the accelerator has 1,000: 676 "),
        ("program_depth", 64, r"needs 7.. words of program, the accelerator has 64: 6.. too few"),
        ("parameter_depth", 100, r"needs 1,408 channels' parameters, the accelerator has 100: "),
        ("sum_depth", 4, r"has 64 sums in a row, the accelerator holds 4; use a TableConfig with"),
        ("activation_depth", 1024, r"^Layer conv of resnet8 at width 8 needs 20,480 bytes "),
    ],
)
def test_what_is_short_is_said(field, value, message):
    with pytest.raises(DownshiftError, match=message):
        compile_graph(RESNET8, replace(CONFIG, **{field: value}))


def with_setting(index, **changes):
    """ResNet-8 whose layer has another setting at width 8."""
    layers = list(RESNET8.layers)
    layer = layers[index]
    settings = {**layer.settings, 8: replace(layer.settings[8], **changes)}
    layers[index] = replace(layer, settings=settings)
    return replace(RESNET8, layers=tuple(layers))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"residual_shift": 1}, "sums would have to be shifted by 1 bits for the residual, they "),
        ({"shift": np.full(16, 11, np.uint8)}, "scales must be below 16, one is "),
        (
            {"shift": np.full(16, 44, np.uint8), "bias": np.full(16, 120_000_000, np.int32)},
            "a scale is below 3.73e-09 of its sums; use a finer output scale",
        ),
        ({"bias": np.full(16, 1 << 27, np.int32)}, "sums may reach .* beyond 28 bits; use fewer "),
    ],
)  # fmt: skip
def test_numbers_without_a_place_are_refused(changes, message):
    with pytest.raises(DownshiftError, match=f"^Layer stack1.block1.conv2 at width 8: {message}"):
        compile_graph(with_setting(2, **changes), CONFIG)


def test_residual_multipliers_have_16_bits_when_lifted():
    layer = RESNET8.layers[2]
    large = replace(
        layer.settings[4], residual_multiplier=np.full(16, 8192, np.uint16), residual_shift=0
    )
    layers = list(RESNET8.layers)
    layers[2] = replace(layer, settings={**layer.settings, 4: large})
    with pytest.raises(DownshiftError, match=r"counts 131,072 times, the accelerator multiplies "):
        compile_graph(replace(RESNET8, layers=tuple(layers)), CONFIG)


def test_large_shifts_leave_nothing():
    plan = plan_words(RESNET8, 8, segments=9)
    graph = with_setting(2, shift=np.full(16, 60, np.uint8))
    steps = plan_words(graph, 8, segments=9).steps
    (step,) = (step for step in steps if step.target == "stack1.block1.conv2")
    rows = layer_parameters(plan, step, 8, config=TableConfig(segments=9))
    assert {int.from_bytes(row, "little") >> 43 & 0x1F for row in rows} == {31}


@pytest.mark.parametrize(
    ("weight_width", "pack", "mode", "shift"),
    [
        (8, 0, None, 0), (6, 0, "separate", 2), (4, 1, None, 4), (2, 2, None, 2), (2, 0, None, 6),
        (8, 0, "dense", 4), (4, 0, "column", 8),
    ],
)  # fmt: skip
def test_sums_stand_high(weight_width, pack, mode, shift):
    setting = replace(RESNET8.layers[0].settings[8], weight_width=weight_width, in_width=4)
    source = WordMap(name="x", shape=(1, 1, 1), width=2, pack=pack)
    assert sum_shift(setting, source, mode=mode) == shift


@pytest.mark.parametrize("seed", range(12))
def test_input_and_maps_keep_their_codes(seed):
    rng = np.random.default_rng(seed)
    graph = random_network(rng, features=(Feature.IDENTITY,), tables=True)
    image = compile_graph(graph, CONFIG)
    for width in graph.widths:
        for entry in image.maps[width][:-1]:
            codes = rng.integers(0, 1 << entry.width, entry.shape).astype(np.uint8)
            content = entry.encode(codes)
            assert len(content) == entry.size
            assert np.array_equal(entry.decode(content), codes)


def test_stored_weights_are_those_of_the_graph():
    image = compile_graph(RESNET8, ONCE)
    stored = np.frombuffer(image.weights, np.int8)
    total = sum(int(np.abs(layer.weight.astype(int)).sum()) for layer in RESNET8.layers)
    assert np.abs(stored.astype(int)).sum() == total
    assert precision_switch(stored, width=8).tobytes() == image.weights


@pytest.mark.parametrize(
    ("field", "value"),
    [("pack", 3), ("group", 5), ("strip", 0), ("base", 8), ("base", -16), ("zero_point", 256),
     ("shift", 13), ("width", 9), ("shape", [0, 1, 1]), ("name", 1), ("strip", "8")],
)  # fmt: skip
def test_hostile_plans_are_refused(field, value):
    image = compile_graph(RESNET8, CONFIG)
    content = image.to_bytes()
    plan = json.loads(content[-struct.unpack_from("<I", content, 20 + 3 * 16 + 8)[0] :])
    plan["maps"]["8"][0][field] = value
    entry = plan["maps"]["8"][0]
    with pytest.raises((TypeError, ValueError)):
        WordMap(**{**entry, "shape": tuple(entry["shape"])}).check(
            entering=True, logits=False, capacity=CONFIG.activation_bytes
        )


def test_odd_widths_are_stored_a_bit_wider():
    assert [stored_width(width) for width in range(2, 9)] == [2, 4, 4, 6, 6, 8, 8]


def test_pixels_share_words_where_vectors_are_fuller_for_it():
    by_group = {
        entry["loader"]["group"]: entry["fetch"]["slots"]
        for entry in passes(compile_graph(RESNET8, CONFIG), 8)[3:5]
    }
    assert by_group == {0: 2}  # both layers that take the map of the first stack: four pixels
    assert {entry["fetch"]["slots"] for entry in passes(compile_graph(RESNET8, ONCE), 8)[3:5]} == {
        0
    }
