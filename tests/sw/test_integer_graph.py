"""How layers may hang together, and what is said when they do not."""

from dataclasses import replace

import numpy as np
import pytest

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.integer_graph import LOGIT_WIDTH, IntegerGraph, Layer, Pool, Setting


def setting(channels, *, last=False, **changes):
    numbers = {
        "weight_width": 8, "in_width": 4, "out_width": LOGIT_WIDTH if last else 4,
        "zero_point_in": 0, "zero_point_out": 0, "bias": np.zeros(channels, np.int32),
        "multiplier": np.full(channels, 1 << 15, np.uint16),
        "shift": np.full(channels, 20, np.uint8),
    }  # fmt: skip
    return Setting(**numbers | changes)


def layer(name, shape, *, last=False, setting_changes=(), **changes):
    """A layer of ones, its weight of `shape`, at widths 8 and 4 of the network."""
    numbers = setting(shape[0], last=last, **dict(setting_changes))
    parts = {
        "weight": np.ones(shape, np.int8), "stride": (1, 1), "padding": (0, 0, 0, 0), "pool": None,
        "settings": {8: numbers, 4: numbers},
    }  # fmt: skip
    return Layer(name=name, **parts | changes)


MULTIPLIER = np.full(3, 7, np.uint16)
LAYERS = {
    "stem": layer("stem", (3, 2, 1, 1)),
    "left": layer("left", (3, 1, 3, 3), groups=3, stride=(2, 2), padding=(0, 1, 0, 1)),
    "right": layer("right", (3, 3, 1, 1), source="stem", stride=(2, 2)),
    "join": layer("join", (3, 3, 1, 1), source="left", residual="right",
                  setting_changes={"residual_multiplier": MULTIPLIER, "residual_shift": 6}),
    "fc": layer("fc", (5, 3, 1, 1), last=True, average=True),
}  # fmt: skip


def network(**changes):
    """``stem ─► left, right ─► join ─► fc``, with layers changed, or left out by None."""
    layers = [changes.get(name, entry) for name, entry in LAYERS.items()]
    return IntegerGraph(
        name="n", input_shape=(6, 4, 2), input_scale=1.0, layers=tuple(filter(None, layers))
    )


def changed(name, **changes):
    return {name: replace(LAYERS[name], **changes)}


def with_setting(name, **changes):
    settings = LAYERS[name].settings
    return changed(name, settings={**settings, 4: replace(settings[4], **changes)})


def test_maps_and_their_users():
    graph = network()
    assert graph.shapes == ((6, 4, 2), (6, 4, 3), (3, 2, 3), (3, 2, 3), (3, 2, 3), (1, 1, 5))
    assert [graph.source_of(entry) for entry in graph.layers] == [
        "input", "stem", "stem", "left", "join",
    ]  # fmt: skip
    assert graph.shape_of("input") == (6, 4, 2)
    assert graph.shape_of("right") == (3, 2, 3)
    users = {name: [entry.name for entry in graph.consumers(name)] for name in ("input", *LAYERS)}
    assert users == {
        "input": ["stem"], "stem": ["left", "right"], "left": ["join"], "right": ["join"],
        "join": ["fc"], "fc": [],
    }  # fmt: skip


def test_codes_of_a_map():
    graph = network(
        **with_setting("left", out_width=3, zero_point_out=5),
        **with_setting("join", in_width=3, zero_point_in=5),
    )
    assert graph.codes_of("left", 4) == (3, 5)
    assert graph.codes_of("left", 8) == graph.codes_of("input", 8) == (4, 0)
    assert graph.codes_of("fc", 4) == (LOGIT_WIDTH, 0)


def test_maps_that_are_not_there():
    for ask in (IntegerGraph.shape_of, IntegerGraph.consumers):
        with pytest.raises(DownshiftError, match=r"^Network n has no map 'up'$"):
            ask(network(), "up")
    with pytest.raises(DownshiftError, match=r"^Network n has no map 'up'$"):
        network().codes_of("up", 8)
    with pytest.raises(DownshiftError, match=r"^Network n runs at widths 8, 4, not 5$"):
        network().codes_of("left", 5)


def test_macs_by_hand():
    graph = network()
    stem, left, right, join, fc = 6 * 4 * 3 * 2, 3 * 2 * 3 * 9, 3 * 2 * 9, 3 * 2 * 9, 5 * 3
    assert graph.macs == stem + left + right + join + fc
    assert graph.weight_bytes == 3 * 2 + 3 * 9 + 9 + 9 + 5 * 3
    assert LAYERS["left"].in_channels == LAYERS["left"].out_channels == 3


def test_the_map_before_enters_by_default():
    graph = network(right=None, **changed("join", source=None, residual="left"))
    assert [graph.source_of(entry) for entry in graph.layers] == ["input", "stem", "left", "join"]


def test_the_input_may_be_added():
    stem = layer("stem", (2, 2, 1, 1), residual="input",
                 setting_changes={"residual_multiplier": MULTIPLIER[:2]})  # fmt: skip
    fc = layer("fc", (5, 2, 1, 1), last=True)
    graph = IntegerGraph(name="n", input_shape=(1, 1, 2), input_scale=1.0, layers=(stem, fc))
    assert graph.consumers("input") == (stem,)


REFUSED = {
    "name given twice": (
        {"left": replace(LAYERS["left"], name="stem")},
        "Layer names must differ, not ['stem', 'stem', 'right', 'join', 'fc']",
    ),
    "name of the input": (
        {"join": replace(LAYERS["join"], name="input")},
        "Layer input has the name of the map that enters; give it another",
    ),
    "source that comes later": (
        changed("left", source="join"),
        ("Layer left takes the map 'join', which no layer before it gives; "
        "name 'input' or an earlier layer"),
    ),
    "source of itself": (
        changed("left", source="left"),
        ("Layer left takes the map 'left', which no layer before it gives; "
        "name 'input' or an earlier layer"),
    ),
    "residual from nowhere": (
        changed("join", residual="up"),
        ("Layer join takes the map 'up', which no layer before it gives; "
        "name 'input' or an earlier layer"),
    ),
    "map that no layer takes": (
        changed("join", residual="left"),
        "Layer right gives a map that no layer takes; leave it out",
    ),
    "channels": (
        changed("right", source="input"),
        "Layer right expects 3 input channels, the map input has 2",
    ),
    "groups that are neither": (
        changed("right", weight=np.ones((4, 2, 1, 1), np.int8), groups=2),
        ("Layer right: groups must be 1 or the channels of input and output, "
        "not 2 with 4 and 4 channels"),
    ),
    "depthwise with more outputs": (
        changed("left", weight=np.ones((6, 1, 3, 3), np.int8)),
        ("Layer left: groups must be 1 or the channels of input and output, "
        "not 3 with 3 and 6 channels"),
    ),
    "no groups": (
        changed("right", groups=0),
        ("Layer right: groups must be 1 or the channels of input and output, "
        "not 0 with 0 and 3 channels"),
    ),
    "average over steps": (
        changed("fc", stride=(2, 1)),
        "Layer fc averages, so its stride must be (1, 1), not (2, 1)",
    ),
    "average over windows": (
        changed("fc", weight=np.ones((5, 3, 2, 2), np.int8)),
        "Layer fc averages, so its kernel must be (1, 1), not (2, 2)",
    ),
    "average with a pool": (
        changed("fc", pool=Pool(size=(1, 1), stride=(1, 1))),
        ("Layer fc averages, so its pool must be None, "
        "not Pool(size=(1, 1), stride=(1, 1))"),
    ),
    "average with groups": (
        changed("fc", weight=np.ones((3, 1, 1, 1), np.int8), groups=3),
        "Layer fc averages, so its groups must be 1, not 3",
    ),
    "residual of another shape": (
        changed("join", residual="stem"),
        ("Layer join gives a map of shape (3, 2, 3), its residual stem has (6, 4, 3); "
        "make them equal by a convolution on the residual"),
    ),
    "residual and pool": (
        changed("join", pool=Pool(size=(1, 1), stride=(1, 1))),
        "Layer join adds a residual, so it cannot have a pool",
    ),
    "logits and residual": (
        {"right": None, "fc": None, "left": layer("left", (3, 3, 1, 1)), "join": layer(
            "join", (3, 3, 1, 1), last=True, residual="left",
            setting_changes={"residual_multiplier": MULTIPLIER})},
        "Layer join gives logits, which take no residual",
    ),
    "logits in the middle": (
        with_setting("right", out_width=LOGIT_WIDTH),
        ("Layer right at width 4: codes must have 1 to 8 bits, not 32; "
        "only the last layer gives logits"),
    ),
    "codes at the end": (
        with_setting("fc", out_width=8),
        "Layer fc at width 4: the last layer gives logits, not codes",
    ),
    "codes of another width": (
        with_setting("right", in_width=5),
        "Layer right at width 4 takes codes of (width, zero point) (5, 0), the map stem has (4, 0)",
    ),
    "zero point of another code": (
        with_setting("stem", zero_point_out=2),
        "Layer left at width 4 takes codes of (width, zero point) (4, 0), the map stem has (4, 2)",
    ),
    "input of two kinds": (
        {"right": layer("right", (3, 2, 1, 1), source="input", stride=(2, 2),
                        setting_changes={"in_width": 7})},
        ("Layer right at width 8 takes codes of (width, zero point) (7, 0), the map input has "
        "(4, 0)"),
    ),
    "multipliers without residual": (
        with_setting("left", residual_multiplier=MULTIPLIER),
        ("Layer left at width 4: residual multipliers and shift are for a layer with a residual; "
        "give it one, or leave them out"),
    ),
    "shift without residual": (
        with_setting("left", residual_shift=1),
        ("Layer left at width 4: residual multipliers and shift are for a layer with a residual; "
        "give it one, or leave them out"),
    ),
    "residual without multipliers": (
        with_setting("join", residual_multiplier=None),
        "Layer join at width 4: a layer with a residual needs residual multipliers",
    ),
    "residual multipliers of another type": (
        with_setting("join", residual_multiplier=MULTIPLIER.astype(np.int32)),
        ("Layer join at width 4: residual_multiplier must be uint16 of shape (3,), "
        "not int32 of shape (3,)"),
    ),
    "residual multiplier of zero": (
        with_setting("join", residual_multiplier=np.array([1, 0, 1], np.uint16)),
        "Layer join at width 4: residual multipliers must be at least 1, not 0",
    ),
    "residual shift": (
        with_setting("join", residual_shift=7),
        "Layer join at width 4: residual shift must be in 0..6, not 7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_said(case):
    changes, message = REFUSED[case]
    with pytest.raises(DownshiftError) as caught:
        network(**changes)
    assert str(caught.value) == message
