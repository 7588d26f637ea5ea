"""What the compiler makes of layers that no chain has, and what it refuses of them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from downshift.boards import find
from downshift.hw.config import AcceleratorConfig
from downshift.hw.descriptor import descriptor_fields
from downshift.hw.errors import DownshiftError
from downshift.hw.sequencer import program_layers
from downshift.sim.layer_programs import layer_passes
from downshift.sim.random_networks import Feature, random_network
from downshift.sw.compile.compiler import beyond_chain, compile_graph, suited
from downshift.sw.compile.memory_plan import plan_maps
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph, Layer, Setting

CONFIG = AcceleratorConfig(
    weight_depth=8192, program_depth=8192, parameter_depth=2048, partial_sum_depth=64,
    all_layers=True,
)  # fmt: skip
WHOLE = [Feature.IDENTITY, Feature.DEPTHWISE, Feature.SKIP, Feature.AVERAGE]


def changed(graph, name, **changes):
    """A network with other numbers in one layer at every width."""
    layers = [
        replace(layer, settings={w: replace(s, **changes) for w, s in layer.settings.items()})
        if layer.name == name else layer for layer in graph.layers
    ]  # fmt: skip
    return replace(graph, layers=tuple(layers))


@pytest.fixture
def adding():
    """A network, and its first layer that adds a residual."""
    graph = random_network(np.random.default_rng(3), features=[Feature.IDENTITY])
    return graph, next(layer for layer in graph.layers if layer.residual is not None)


@pytest.mark.parametrize("seed", range(6))
def test_sums_that_are_kept_are_gone_on_with(seed):
    graph = random_network(np.random.default_rng(seed), features=WHOLE)
    image = compile_graph(graph, CONFIG)
    words = np.frombuffer(image.program, "<u4").tolist()
    for width in graph.widths:
        passes = [descriptor_fields(each) for each in program_layers(words, width)]
        kept = [fields["keep"] for fields in passes]
        assert [fields["resume"] for fields in passes] == [0, *kept[:-1]]
        assert kept[-1] == 0
        assert any(kept)
        for fields in passes:  # each tile of their own, so that sums have room
            assert fields["last_tile"] == 0 or not (fields["keep"] or fields["resume"])


@pytest.mark.parametrize("seed", range(6))
def test_passes_are_those_of_their_layer(seed):
    graph = random_network(np.random.default_rng(seed), features=WHOLE)
    image = compile_graph(graph, CONFIG)
    for width in graph.widths:
        by_layer = layer_passes(image, width)
        assert list(by_layer) == [layer.name for layer in graph.layers]
        for layer in graph.layers:
            target = next(entry for entry in image.maps[width] if entry.name == layer.name)
            for words in by_layer[layer.name]:
                fields = descriptor_fields(words)
                assert target.base <= fields["out_base"] < target.end
                # All channels of a tile have room in their pixel.
                place = (fields["out_base"] - target.base) % target.pixel_bytes
                size = 4 * CONFIG.rows if fields["logits"] else CONFIG.rows >> fields["out_pack"]
                assert place + size <= target.pixel_bytes


def test_chains_have_the_same_passes():
    graph = random_network(np.random.default_rng(5))
    plain = compile_graph(graph, replace(CONFIG, all_layers=False))
    image = compile_graph(graph, CONFIG)
    assert len(image.program) == len(plain.program)
    assert image.weights == plain.weights
    assert image.parameters == plain.parameters


@pytest.mark.parametrize("seed", range(10))
def test_maps_that_live_at_once_lie_apart(seed):
    graph = random_network(np.random.default_rng(seed), features=WHOLE)
    for width in graph.widths:
        spacious = plan_maps(graph, width, lanes=4, tile=8, capacity=1 << 16)
        capacity = max(entry.end for entry in spacious) - 4  # one of them must share
        maps = {
            entry.name: entry
            for entry in plan_maps(graph, width, lanes=4, tile=8, capacity=capacity)
        }
        alive = {INPUT: {INPUT}}
        for index, layer in enumerate(graph.layers):
            later = graph.layers[index + 1 :]
            wanted = {graph.source_of(each) for each in later} | {each.residual for each in later}
            taken = {graph.source_of(layer), layer.residual} - {None}
            before = {INPUT, *(each.name for each in graph.layers[:index])}
            alive[layer.name] = {layer.name} | taken | (wanted & before)
        for names in alive.values():
            places = sorted((maps[name].base, maps[name].end) for name in names)
            assert all(end <= base for (_, end), (base, _) in pairwise(places))
        assert max(entry.end for entry in maps.values()) <= capacity


@pytest.mark.parametrize(("channels", "refused"), [(514, False), (515, True)])
def test_sums_beside_a_residual_have_24_bits(channels, refused):
    setting = Setting(
        weight_width=8, in_width=8, out_width=8, zero_point_in=0, zero_point_out=0,
        bias=np.zeros(2, np.int32), multiplier=np.full(2, 1 << 15, np.uint16),
        shift=np.full(2, 20, np.uint8),
    )  # fmt: skip
    layers = [
        Layer(
            name=name, weight=np.full((2, n, 1, 1), 64, np.int8), stride=(1, 1),
            padding=(0, 0, 0, 0), pool=None, settings={8: setting}, source=source,
        )
        for name, n, source in (("a", channels, None), ("b", channels, INPUT), ("c", 2, None))
    ]  # fmt: skip
    adds = replace(setting, residual_multiplier=np.full(2, 1 << 14, np.uint16), residual_shift=0)
    ends = replace(
        setting, out_width=LOGIT_WIDTH, multiplier=np.zeros(2, np.uint16),
        shift=np.zeros(2, np.uint8),
    )  # fmt: skip
    layers[1] = replace(layers[1], residual="a", settings={8: adds})
    layers[2] = replace(layers[2], settings={8: ends})
    graph = IntegerGraph(
        name="n", input_shape=(1, 1, channels), input_scale=1.0, layers=tuple(layers)
    )
    most = channels * 64 * 255
    assert (most >= 1 << 23) == refused
    if not refused:
        assert compile_graph(graph, CONFIG).widths == (8,)
        return
    message = (
        rf"^Layer b at width 8: sums may reach 0 … {most:,}, beyond the 24 bits beside a residual; "
        r"use fewer inputs per output, or a TableConfig \(--tables\)$"
    )
    with pytest.raises(DownshiftError, match=message):
        compile_graph(graph, CONFIG)


@pytest.mark.parametrize(("bias", "refused"), [((1 << 25) - 1, False), (1 << 25, True)])
def test_biases_beside_a_residual_have_26_bits(adding, bias, refused):
    graph, layer = adding
    graph = changed(graph, layer.name, bias=np.full(layer.out_channels, bias, np.int32))
    if not refused:
        assert compile_graph(graph, CONFIG).widths == graph.widths
        return
    message = (
        rf"^Layer {layer.name} at width 8: biases reach 33,554,432 … 33,554,432, beyond the 26 "
        r"bits beside a residual; use a TableConfig \(--tables\)$"
    )
    with pytest.raises(DownshiftError, match=message):
        compile_graph(graph, CONFIG)


def test_maps_too_wide_for_a_mean_are_refused():
    graph = random_network(np.random.default_rng(3), features=[Feature.AVERAGE])
    last = graph.layers[-1]
    setting = replace(last.settings[8], in_width=2, zero_point_in=0)
    one = replace(
        last, source=None, settings={8: setting},
        weight=np.ones((last.out_channels, 1, 1, 1), np.int8),
    )  # fmt: skip
    config = replace(CONFIG, activation_bytes=1 << 14)
    for columns in (255, 256):
        long = replace(graph, input_shape=(1, columns, 1), layers=(one,), logit_scales={})
        if columns == 255:
            assert compile_graph(long, config).widths == (8,)
            continue
        message = (
            rf"^Layer {last.name} averages over 1 x 256 pixels, this accelerator over 255 at most "
            r"each way; use a TableConfig \(--tables\)$"
        )
        with pytest.raises(DownshiftError, match=message):
            compile_graph(long, config)


@pytest.mark.parametrize("feature", Feature)
def test_accelerators_suit_their_network(feature):
    graph = random_network(np.random.default_rng(3), features=[feature])
    plain, slow = find("ulx3s-85f").config, find("icebreaker").config
    assert (beyond_chain(graph) is None) == (feature is Feature.PLAIN)
    assert suited(plain, graph).all_layers == (feature is not Feature.PLAIN)
    assert replace(suited(plain, graph), all_layers=False) == plain
    assert suited(slow, graph) == slow
