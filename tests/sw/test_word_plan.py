from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from downshift.hw.errors import DownshiftError
from downshift.hw.writer_layer import words_per_tile
from downshift.sim.random_networks import Feature, random_network
from downshift.sw.compile.word_memory import place_maps
from downshift.sw.compile.word_plan import check_sizes, plan_words
from downshift.sw.compile.word_step import slots_of
from downshift.sw.graph.integer_graph import IntegerGraph, Layer, Setting
from downshift.sw.graph.reference_networks import REFERENCE_NETWORKS, reference_network

FEATURES = [(), (Feature.IDENTITY,), (Feature.SKIP, Feature.DEPTHWISE), (Feature.AVERAGE,)]


SEGMENTS = 9


def plans_of(graph):
    """Plans by width."""
    return {width: plan_words(graph, width, segments=SEGMENTS) for width in graph.widths}


def networks():
    for name in REFERENCE_NETWORKS:
        yield name, reference_network(name)
    for seed in range(40):
        features = FEATURES[seed % len(FEATURES)]
        rng = np.random.default_rng(seed)
        yield f"random{seed}", random_network(rng, features=features, tables=True)


NETWORKS = dict(networks())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_pass_finds_its_rows(name):
    for width, plan in plans_of(NETWORKS[name]).items():
        for entry in plan.maps.values():
            assert entry.strip * slots_of(entry) >= entry.shape[0]
        for step in plan.steps:
            source, target = plan.maps[step.source], plan.maps[step.target]
            setting, rows = step.layer.settings[width], plan.rows(step)
            slots = slots_of(source)
            if step.whole:
                assert slots_of(target) == 1
                continue
            assert rows * slots >= target.strip * slots_of(target)
            if step.pool:
                assert (source.pack, source.group) == (target.pack, target.group)
                assert target.strip * slots == target.shape[0]
            else:
                assert slots == 1 or words_per_tile(target.layout) == 1
                assert source.pack < 2 or setting.weight_width <= 2
                assert source.pack < 1 or setting.weight_width <= 6
            if slots == 1:
                continue
            assert rows * step.stride[0] == source.strip
            top = 0 if step.pool else step.layer.padding[0]
            assert top <= source.strip
            assert (rows - 1) * step.stride[0] + step.kernel[0] - 1 - top < 2 * source.strip
            if step.residual is not None:
                added = plan.maps[step.residual]
                assert (slots_of(added), added.strip) == (slots, rows)
                assert added.group >= 16


def test_narrow_codes_share_words():
    plans = plans_of(NETWORKS["resnet8"])
    slots = {w: {slots_of(entry) for entry in plan.maps.values()} for w, plan in plans.items()}
    assert (slots[8], slots[4], slots[2]) == ({1, 4}, {1, 2, 4}, {1, 2, 4})


def test_many_narrow_codes_share_words():
    plan = plan_words(NETWORKS["resnet8"], 2, segments=SEGMENTS)
    wide = [name for name, entry in plan.maps.items() if entry.group == 32]
    assert [plan.maps[name].shape for name in wide] == [(16, 16, 32)] * 2 + [(8, 8, 64)] * 2
    plan = plan_words(NETWORKS["resnet8"], 2, segments=SEGMENTS, liberties=("few",))
    assert {entry.group for entry in plan.maps.values()} == {4, 16}


def test_depthwise_layers_take_single_codes():
    graph = reference_network("mobilenetv1", widths=(4,))
    plan = plan_words(graph, 4, segments=6)
    assert [plan.mode(step) for step in plan.steps].count("column") > 9
    plan = plan_words(graph, 4, segments=6, liberties=("few", "wide"))
    assert [plan.mode(step) for step in plan.steps].count("column") == 0


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("share", [False, True])
def test_maps_that_live_at_once_lie_apart(name, share):
    for plan in plans_of(NETWORKS[name]).values():
        total = sum(entry.size for entry in plan.maps.values())
        capacity = total
        if share:
            capacity = smallest(plan, total)
        placed = place_maps(plan, capacity=capacity, what="x")
        for index, step in enumerate(placed.steps):
            alive = {step.source, step.target, step.residual} - {None}
            for later in placed.steps[index + 1 :]:
                alive |= {
                    taken
                    for taken in (later.source, later.residual)
                    if taken is not None and given(placed, taken) < index
                }
            spans = sorted((placed.maps[key].base, placed.maps[key].end) for key in alive)
            assert spans[-1][1] <= capacity
            for (_, end), (begin, _) in pairwise(spans):
                assert end <= begin


def given(plan, name):
    """Index of the step that gives a map; -1 for the input."""
    return next((k for k, step in enumerate(plan.steps) if step.target == name), -1)


def smallest(plan, total):
    """The least capacity, in steps of a sixteenth, that is not refused."""
    for sixteenth in range(1, 17):
        capacity = total * sixteenth // 16
        try:
            place_maps(plan, capacity=capacity, what="x")
        except DownshiftError:
            continue
        return capacity
    raise AssertionError("no capacity is enough")


def test_memory_that_is_too_small_is_said():
    plan = plan_words(NETWORKS["resnet8"], 8, segments=SEGMENTS)
    with pytest.raises(
        DownshiftError,
        match=r"^Layer conv of net needs 20,480 bytes of activation memory with the maps that live "
        r"beside it, the accelerator has 4,096: 16,384 too few; use a TableConfig with more "
        r"activation_depth$",
    ):
        place_maps(plan, capacity=4096, what="net")


def test_maps_that_are_too_large_are_said():
    setting = Setting(
        weight_width=8, in_width=8, out_width=32, zero_point_in=0, zero_point_out=0,
        bias=np.zeros(1, np.int32), multiplier=np.zeros(1, np.uint16),
        shift=np.zeros(1, np.uint8),
    )  # fmt: skip
    layer = Layer(
        name="one", weight=np.ones((1, 1, 1, 1), np.int8), stride=(1, 1), padding=(0, 0, 0, 0),
        pool=None, settings={8: setting},
    )  # fmt: skip
    graph = IntegerGraph(name="g", input_shape=(257, 1, 1), input_scale=1.0, layers=(layer,))
    with pytest.raises(DownshiftError, match=r"^Layer one has maps or windows of more than 256 "):
        check_sizes(plan_words(graph, 8, segments=SEGMENTS))
    check_sizes(plan_words(replace(graph, input_shape=(256, 1, 1)), 8, segments=SEGMENTS))
