"""Inputs whose blocks of pixels become channels."""

import json
import struct
import zlib

import numpy as np
import pytest

from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sim.random_networks import Feature, random_codes, random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.compile.image import Image, Section
from downshift.sw.compile.input_fold import InputFold, fold_input, folded_graph
from downshift.sw.graph.reference_networks import reference_network

CONFIG = TableConfig(segments=3, activation_depth=1024, parameter_depth=1024, program_depth=2048)


def strided(seed):
    """A random network whose first layer has a stride."""
    rng = np.random.default_rng(seed)
    while True:
        graph = random_network(rng, tables=True)
        if graph.layers[0].stride != (1, 1) and fold_input(graph, segments=3):
            return rng, graph


@pytest.mark.parametrize("seed", range(20))
def test_a_folded_network_computes_the_same(seed):
    rng, graph = strided(seed)
    x = random_codes(rng, graph, 2)
    fold = fold_input(graph, segments=3)
    folded = folded_graph(graph, fold)
    for width in graph.widths:
        zero_point = graph.layers[0].settings[width].zero_point_in
        inputs = np.stack([fold.fold(codes, zero_point=zero_point) for codes in x])
        want, got = golden.run(graph, x, width), golden.run(folded, inputs, width)
        assert np.array_equal(got.logits, want.logits)
        for name, codes in want.codes.items():
            assert np.array_equal(got.codes[name], codes)


def test_blocks_begin_with_the_padding():
    fold = InputFold(shape=(3, 2, 1), block=(2, 2), before=(1, 0), folded=(2, 1, 4))
    codes = np.arange(1, 7, dtype=np.uint8).reshape(3, 2, 1)
    assert fold.fold(codes, zero_point=9).tolist() == [[[9, 9, 1, 2]], [[3, 4, 5, 6]]]


def test_what_no_window_has_is_left_out():
    fold = InputFold(shape=(3, 3, 1), block=(2, 1), before=(0, 1), folded=(1, 3, 2))
    codes = np.arange(1, 10, dtype=np.uint8).reshape(3, 3, 1)
    assert fold.fold(codes, zero_point=0).tolist() == [[[0, 0], [1, 4], [2, 5]]]


@pytest.mark.parametrize(
    ("network", "block"), [("dscnn", (2, 2)), ("resnet8", None), ("mobilenetv1", None)]
)
def test_only_where_it_helps(network, block):
    fold = fold_input(reference_network(network), segments=6)
    assert (fold and fold.block) == block


def test_an_input_that_others_take_stays_as_it_is():
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        graph = random_network(rng, tables=True, features=(Feature.SKIP,))
        takers = [layer for layer in graph.layers if graph.source_of(layer) == "input"]
        if len(takers) > 1 and takers[0].stride != (1, 1):
            seen += 1
            assert fold_input(graph, segments=3) is None
    assert seen > 2


def test_images_come_back_and_fold():
    rng, graph = strided(1)
    image = Image.from_bytes(compile_graph(graph, CONFIG).to_bytes())
    (codes,) = random_codes(rng, graph, 1)
    width = graph.widths[0]
    source = image.maps[width][0]
    folded = image.input_fold.fold(codes, zero_point=source.zero_point)
    assert np.array_equal(source.decode(image.encode_input(codes, width)), folded)
    assert image.macs == graph.macs
    with pytest.raises(DownshiftError, match=r"^Input must be uint8 of shape"):
        image.encode_input(folded, width)


@pytest.mark.parametrize(
    "change",
    [
        {"block": [1, 1]}, {"block": [0, 2]}, {"block": [2]}, {"before": [-1, 0]},
        {"before": [900, 0]},
        {"folded": [1, 1, 4]}, {"shape": [1 << 40, 1, 1]}, {"shape": [True, 1, 1]},
        {"before": ["1", 0]}, {"more": [1, 2]}, {"block": 7},
    ],
)  # fmt: skip
def test_other_folds_are_refused(change):
    _, graph = strided(1)
    image = compile_graph(graph, CONFIG)
    content = with_plan(image, lambda plan: plan["input_fold"].update(change))
    with pytest.raises(DownshiftError, match=r"^image has no valid plan"):
        Image.from_bytes(content)


def with_plan(image, change):
    """The file with another plan, and all checksums right."""
    content = image.to_bytes()
    count = struct.unpack_from("<I", content, 16)[0]
    at = 20 + 16 * (count - 1)
    section, offset, length, _ = struct.unpack_from("<IIII", content, at)
    assert section == Section.PLAN
    plan = json.loads(content[offset : offset + length])
    change(plan)
    body = json.dumps(plan).encode()
    header = content[:at] + struct.pack("<IIII", section, offset, len(body), zlib.crc32(body))
    rest = content[len(header) + 4 : offset]
    return header + struct.pack("<I", zlib.crc32(header)) + rest + body
