"""Cycles of frames, layer by layer."""

from dataclasses import asdict, replace

import pytest

from downshift.boards import find
from downshift.hw.table_config import TableConfig
from downshift.sim.cycles import cycles
from downshift.sim.frame_profile import frame_profile, products_per_cycle
from downshift.sim.random_networks import Feature, random_case
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.graph.reference_networks import REFERENCE_NETWORKS, reference_network

TABLE = TableConfig(segments=3, activation_depth=1024, sum_depth=64)
DSP = replace(find("icebreaker").config, activation_bytes=8192, weight_depth=65536)
BRICK = replace(find("tang-nano-9k").config, activation_bytes=8192, weight_depth=65536)


@pytest.mark.parametrize("config", [TABLE, BRICK, DSP], ids=["table", "brick", "dsp"])
@pytest.mark.parametrize("seed", range(6))
def test_every_cycle_goes_to_something(config, seed):
    features = ((Feature.DEPTHWISE,), (Feature.SKIP, Feature.AVERAGE), ())[seed % 3]
    case = random_case(seed, config, images=1, features=features if config is TABLE else ())
    for width in case.graph.widths:
        check_profile(case.graph, case.image, width)


@pytest.mark.parametrize(("network", "width"), [("mobilenetv1", 8), ("dscnn", 8), ("dscnn", 2)])
def test_every_cycle_of_a_network_goes_to_something(network, width):
    graph = reference_network(network, widths=(width,))
    check_profile(graph, compile_graph(graph, TableConfig()), width)


@pytest.mark.parametrize("network", REFERENCE_NETWORKS)
def test_narrower_is_never_slower(network):
    taken = [
        cycles(compile_graph(reference_network(network, widths=(width,)), TableConfig()), width)
        for width in (8, 6, 4, 2)
    ]
    totals = [frame.total for frame in taken]
    assert totals == sorted(totals, reverse=True)


def check_profile(graph, image, width):
    profile = frame_profile(graph, image, width)
    start = cycles(image, width).total - sum(layer.cycles for layer in profile)
    assert 0 <= start <= 3
    assert sum(layer.macs for layer in profile) == graph.macs
    for layer, described in zip(profile, graph.layers, strict=True):
        spent = asdict(layer.spent)
        assert sum(spent.values()) == layer.cycles
        assert min(spent.values()) >= 0
        if described.pool is None:  # else pixels that no window of the pool has are left out
            assert layer.macs <= layer.peak * layer.spent.busy
        # Each memory gives at most a word a cycle.
        assert max(layer.activation_words, layer.weight_words) <= layer.cycles_alone


@pytest.fixture(scope="module")
def resnet8():
    graph = reference_network("resnet8", widths=(8, 2))
    image = compile_graph(graph, TableConfig(segments=9))
    return {width: frame_profile(graph, image, width) for width in graph.widths}


def test_a_layer_by_hand(resnet8):
    # 32 x 32 pixels of 16 channels, 16 rows: a word of the map is 16 channels of a pixel; a field
    # of nine words is a vector, each of which has three columns of which two stay.
    layer = resnet8[8][1]
    assert layer.name == "stack1.block1.conv1"
    assert layer.macs == 32 * 32 * 16 * 16 * 9
    assert layer.peak == 16 * 9 * 16 / 8
    assert layer.spent.busy == 32 * 32 * 8
    assert layer.activation_words == 32 * (9 + 31 * 3)
    assert layer.weight_words == 16 * 3


def test_two_bits_have_sixteen_times_the_peak(resnet8):
    assert resnet8[2][1].peak == 16 * resnet8[8][1].peak


def test_products_per_cycle():
    assert products_per_cycle(TableConfig(segments=9)) == 2048 * 9
    assert products_per_cycle(BRICK) == 4 * 4 * 16
    assert products_per_cycle(DSP) == 4 * 4 * 64
