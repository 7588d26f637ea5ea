"""Reference networks: the published shapes, and numbers that keep every layer alive."""

from functools import cache

import numpy as np
import pytest
import torch

from downshift.hw.errors import DownshiftError
from downshift.hw.rescale import shifts
from downshift.sim import golden
from downshift.sw.graph.graph_file import load_graph, save_graph
from downshift.sw.graph.reference_networks import REFERENCE_NETWORKS, reference_network
from downshift.sw.quantization.freeze import Frozen

WIDTHS = (8, 6, 4, 2)
build = cache(reference_network)
"""Graphs are never changed: every test takes the same one."""


def inputs(graph, width, images):
    rng = np.random.default_rng(99)
    return rng.integers(0, 1 << width, (images, *graph.input_shape)).astype(np.uint8)


@cache
def outputs(name, width):
    """Codes of images that the scales were not chosen on."""
    graph = build(name)
    images = max(8, 512 // (graph.input_shape[0] * graph.input_shape[1]))
    return golden.run(graph, inputs(graph, width, images), width)


def by_layer(name):
    return {layer.name: layer for layer in build(name).layers}


every_network = pytest.mark.parametrize("name", REFERENCE_NETWORKS)
every_width = pytest.mark.parametrize("width", WIDTHS)


# Multiply-accumulates and parameters as published: MLPerf Tiny's reference models (Keras counts
# biases, and four numbers a channel for each batch norm); ResNet-20 as in Keras' examples.
PUBLISHED = {
    "resnet8": (12.5, 78_666),
    "dscnn": (2.7, 24_908),
    "mobilenetv1": (7.5, 221_794),
    "autoencoder": (0.3, 269_992),
    "resnet20": (40.8, 274_442),
}


@every_network
def test_counts_are_those_published(name):
    graph = build(name)
    mega_macs, parameters = PUBLISHED[name]
    biases = sum(layer.out_channels for layer in graph.layers)
    normed = [layer for layer in graph.layers[:-1] if not layer.name.endswith("skip")]
    norms = 4 * sum(layer.out_channels for layer in normed)
    assert round(graph.macs / 1e6, 1) == mega_macs
    assert graph.weight_bytes + biases + norms == parameters


COUNTS = {
    "resnet8": (12_501_632, 77_360, 10),
    "dscnn": (2_656_768, 22_016, 10),
    "mobilenetv1": (7_489_664, 208_112, 28),
    "autoencoder": (264_192, 264_192, 10),
    "resnet20": (40_813_184, 270_896, 22),
}


@every_network
def test_counts_by_hand(name):
    graph = build(name)
    assert (graph.macs, graph.weight_bytes, len(graph.layers)) == COUNTS[name]


SHAPES = {
    "resnet8": {"conv": (32, 32, 16), "stack1.block1.conv2": (32, 32, 16),
                "stack2.block1.skip": (16, 16, 32), "stack3.block1.conv2": (8, 8, 64),
                "linear": (1, 1, 10)},
    "dscnn": {"conv": (25, 5, 64), "block4.pointwise": (25, 5, 64), "linear": (1, 1, 12)},
    "mobilenetv1": {"conv": (48, 48, 8), "block4.depthwise": (12, 12, 32),
                    "block13.pointwise": (3, 3, 256), "linear": (1, 1, 2)},
    "autoencoder": {"linear5": (1, 1, 8), "linear10": (1, 1, 640)},
    "resnet20": {"stack1.block3.conv2": (32, 32, 16), "stack2.block3.conv1": (16, 16, 32),
                 "stack3.block3.conv2": (8, 8, 64), "linear": (1, 1, 10)},
}  # fmt: skip


@every_network
def test_shapes_of_maps(name):
    assert {entry: build(name).shape_of(entry) for entry in SHAPES[name]} == SHAPES[name]


@pytest.mark.parametrize(
    ("name", "layer", "padding"),
    [
        ("resnet8", "conv", (1, 1, 1, 1)),
        ("resnet8", "stack2.block1.conv1", (0, 1, 0, 1)),
        ("resnet8", "stack2.block1.skip", (0, 0, 0, 0)),
        ("dscnn", "conv", (4, 5, 1, 1)),
        ("mobilenetv1", "conv", (0, 1, 0, 1)),
        ("mobilenetv1", "block12.depthwise", (0, 1, 0, 1)),
        ("mobilenetv1", "block13.depthwise", (1, 1, 1, 1)),
    ],
)
def test_padding_is_that_of_tensorflow(name, layer, padding):
    assert by_layer(name)[layer].padding == padding


@pytest.mark.parametrize(("name", "adds"), [("resnet8", 3), ("resnet20", 9)])
def test_blocks_add_their_input_or_its_projection(name, adds):
    layers = by_layer(name)
    joins = [layer for layer in layers.values() if layer.residual]
    assert len(joins) == adds
    for join in joins:
        source = layers[layers[join.source].source].name
        skip = layers[join.residual]
        assert skip.name == source or (skip.source, skip.stride) == (source, (2, 2))


@every_network
@every_width
def test_every_number_has_the_width_of_the_network(name, width):
    graph = build(name)
    for layer in graph.layers:
        setting = layer.settings[width]
        assert setting.weight_width == setting.in_width == width
        assert setting.out_width == (32 if layer is graph.layers[-1] else width)
        assert setting.zero_point_in == 0
        assert setting.bias.all()
        assert setting.residual_shift <= (2 if width == 2 else 8 - width)
        middle = 1 << width - 1 if layer.name.endswith("skip") else 0
        assert setting.zero_point_out == middle
        if layer is not graph.layers[-1]:
            assert set(setting.shift.tolist()) <= set(shifts())


@every_network
@every_width
def test_no_layer_saturates_or_dies(name, width):
    top = (1 << width) - 1
    for layer, codes in outputs(name, width).codes.items():
        pixels = codes.reshape(-1, codes.shape[-1])
        assert codes.max() >= 0.9 * top, layer
        assert codes.std() > 0.15 * top, layer
        assert (codes == 0).mean() < 0.75, layer
        # A skip of two bits has one code above its zero.
        assert (codes == top).mean() < (0.3 if width == 2 else 0.05), layer
        assert (pixels.min(axis=0) == pixels.max(axis=0)).mean() < 0.02, layer


@every_network
@every_width
def test_logits_tell_images_apart(name, width):
    logits = outputs(name, width).logits
    # Those of the autoencoder went through eight codes.
    assert len(np.unique(logits, axis=0)) > len(logits) / 2


@every_network
@pytest.mark.parametrize("width", [8, 2])
def test_frozen_is_golden(name, width):
    graph = build(name)
    x = inputs(graph, width, 1)
    ours = Frozen(graph)(torch.as_tensor(x).permute(0, 3, 1, 2), width)
    theirs = golden.run(graph, x, width)
    assert np.array_equal(ours.logits.numpy(), theirs.logits)
    for layer, codes in ours.codes.items():
        assert np.array_equal(codes.permute(0, 2, 3, 1).numpy(), theirs.codes[layer])


def test_the_same_seed_gives_the_same_file(tmp_path):
    for path in ("a", "b"):
        save_graph(reference_network("resnet8"), tmp_path / path)
    save_graph(reference_network("resnet8", seed=1), tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    weights = [load_graph(tmp_path / path).layers[0].weight for path in ("a", "c")]
    assert (weights[0] != weights[1]).any()


def test_a_width_does_not_depend_on_the_others():
    alone, among = reference_network("resnet8", widths=(4,)), build("resnet8")
    for left, right in zip(alone.layers, among.layers, strict=True):
        assert np.array_equal(left.weight, right.weight)
        assert np.array_equal(left.settings[4].bias, right.settings[4].bias)
        assert np.array_equal(left.settings[4].multiplier, right.settings[4].multiplier)


def test_names_and_widths_that_are_none():
    with pytest.raises(
        DownshiftError,
        match=r"^There is no reference network 'vgg'; choose one of resnet8, dscnn, mobilenetv1, "
        r"autoencoder, resnet20$",
    ):
        reference_network("vgg")
    for widths in ((), (9, 8), (4, 4)):
        with pytest.raises(DownshiftError, match=r"^Widths must be different numbers in 2\.\.8, "):
            reference_network("dscnn", widths=widths)
