"""What random networks are made of; how they run is in ``test_golden.py``."""

import zlib

import numpy as np
import pytest

from downshift.sim import golden
from downshift.sim.random_networks import Feature, random_codes, random_network


def drawn(feature, seeds=30):
    return [
        random_network(np.random.default_rng(seed), features=[feature]) for seed in range(seeds)
    ]


NUMBERS = (
    "weight_width", "in_width", "out_width", "zero_point_in", "zero_point_out", "bias",
    "multiplier", "shift",
)  # fmt: skip


def test_networks_without_features_are_as_ever():
    checksum = 0
    for seed in range(40):
        for layer in random_network(np.random.default_rng(seed)).layers:
            settings = [layer.settings[width] for width in (8, 7, 6)]
            numbers = [getattr(setting, name) for setting in settings for name in NUMBERS]
            drawn = [np.asarray(n).tolist() for n in (layer.weight, layer.stride, *numbers)]
            checksum = zlib.crc32(repr((layer.padding, layer.pool, drawn)).encode(), checksum)
    assert checksum == 2962138071


def test_identity_adds_the_map_that_enters():
    for graph in drawn(Feature.IDENTITY):
        (index,) = (k for k, layer in enumerate(graph.layers) if layer.residual)
        assert graph.layers[index].residual == graph.source_of(graph.layers[index - 1])


def test_skip_adds_a_pointwise_layer_beside():
    orders = set()
    for graph in drawn(Feature.SKIP):
        (index,) = (k for k, layer in enumerate(graph.layers) if layer.residual)
        *pair, join = graph.layers[index - 2 : index + 1]
        orders.add(pair[0].name == join.residual)
        (skip,) = (layer for layer in pair if layer.name == join.residual)
        (main,) = (layer for layer in pair if layer.name == join.source)
        assert skip.kernel == (1, 1)
        assert graph.source_of(skip) == graph.source_of(main)
    assert orders == {True, False}


def test_depthwise_layers_have_many_groups():
    groups = [max(layer.groups for layer in graph.layers) for graph in drawn(Feature.DEPTHWISE)]
    assert sum(n > 1 for n in groups) > 20


def test_average_is_the_last_layer():
    for graph in drawn(Feature.AVERAGE):
        assert [layer.average for layer in graph.layers][-1:] == [True]
        assert sum(layer.average for layer in graph.layers) == 1


@pytest.mark.parametrize("feature", [Feature.IDENTITY, Feature.SKIP])
def test_sums_with_residuals_spread_over_their_codes(feature):
    used = []
    for graph in drawn(feature, seeds=12):
        x = random_codes(np.random.default_rng(0), graph, 4)
        (join,) = (layer for layer in graph.layers if layer.residual)
        for width in graph.widths:
            codes = golden.run(graph, x, width).codes[join.name]
            used.append(
                len(np.unique(codes)) / min(codes.size, 1 << join.settings[width].out_width)
            )
    assert np.mean(used) > 0.4
