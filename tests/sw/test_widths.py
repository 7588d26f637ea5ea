import numpy as np
import pytest
import torch
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sim import golden
from downshift.sw.quantization.freeze import freeze
from downshift.sw.quantization.prepare import prepare
from downshift.sw.quantization.widths import kept_widths, set_widths, switchable_layers
from downshift.sw.training.calibration import calibrate, recalibrate_norms

WIDTHS = (8, 6, 4, 2)
SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def net(digits):
    torch.manual_seed(0)
    model = nn.Sequential(
        *[nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()],
        *[nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()],
        *[nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 10)],
    )
    prepared = prepare(model, widths=WIDTHS, input_scale=digits.input_scale)
    images = digits.real(digits.train.codes[:256])
    calibrate(prepared, images[:64], WIDTHS)
    recalibrate_norms(prepared, images, WIDTHS)
    return prepared.eval()


def running(net):
    layers = switchable_layers(net)
    return {path: [part.width for part in layer.parts] for path, layer in layers.items()}


def test_a_layer_is_its_weights_its_norm_and_its_codes(net):
    set_widths(net, 8)
    set_widths(net, {"3": 4, "6": 2})
    # First and last layer, and the codes between the last two, are pinned.
    assert running(net) == {"0": [8, 8, 8], "3": [4, 4, 4], "6": [2, 2, 8], "10": [8]}
    set_widths(net, {"0": 6})
    assert running(net) == {"0": [8, 6, 6], "3": [4, 4, 4], "6": [2, 2, 8], "10": [8]}


def test_transitional_norms_know_the_width_before(digits):
    torch.manual_seed(0)
    model = nn.Sequential(
        *[nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)],
        *[nn.ReLU(), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten()],
        nn.Linear(24, 10),
    )
    net = prepare(model, widths=(8, 4), input_scale=digits.input_scale, transitional=True)
    norms = [net.get_submodule(path) for path in "147"]
    assert list(norms[0].norms) == ["8-8", "8-4", "4-8", "4-4"]

    def running():
        return [next(k for k, v in norm.norms.items() if v is norm.norm) for norm in norms]

    set_widths(net, 4)
    assert running() == ["4-4", "4-4", "4-4"]
    set_widths(net, {"3": 8})
    assert running() == ["4-4", "4-8", "8-4"]
    with kept_widths(net):
        set_widths(net, 8)
    assert running() == ["4-4", "4-8", "8-4"]
    calibrate(net, digits.real(digits.train.codes[:64]), (8, 4))
    net.eval()
    mixed = {"0": 4, "3": 8, "6": 4}
    graph = freeze(net, input_shape=SHAPE, assignments={5: mixed}).graph
    norms[2].norms["8-4"].bias.data += 1.0
    other = freeze(net, input_shape=SHAPE, assignments={5: mixed}).graph
    biases = [[layer.settings[5].bias for layer in g.layers] for g in (graph, other)]
    same = [np.array_equal(a, b) for a, b in zip(*biases, strict=True)]
    assert same == [True, True, False, True]


def test_widths_are_kept(net):
    set_widths(net, 4)
    set_widths(net, {"3": 2})
    before = running(net)
    with pytest.raises(ZeroDivisionError), kept_widths(net):
        set_widths(net, 8)
        raise ZeroDivisionError
    assert running(net) == before


def test_assignments_freeze_to_what_golden_computes(net, digits):
    assignments = {8: 8, 5: {"0": 4, "3": 2, "6": 6, "10": 8}, 4: {"3": 6}, 2: 4}
    set_widths(net, 6)
    before = running(net)
    frozen = freeze(net, input_shape=SHAPE, assignments=assignments)
    assert running(net) == before
    bits = {
        width: [(layer.settings[width].weight_width, layer.settings[width].out_width)
                for layer in frozen.graph.layers]
        for width in assignments
    }  # fmt: skip
    assert bits == {
        8: [(8, 8), (8, 8), (8, 8), (8, 32)],
        5: [(8, 4), (2, 2), (6, 8), (8, 32)],
        4: [(8, 4), (6, 6), (4, 8), (8, 32)],
        2: [(8, 4), (4, 4), (4, 8), (8, 32)],
    }
    codes = digits.test.codes[:20]
    x = codes.permute(0, 2, 3, 1).numpy()
    for width, means in assignments.items():
        ours, theirs = frozen(codes, width), golden.run(frozen.graph, x, width)
        assert np.array_equal(ours.logits.numpy(), theirs.logits)
        with torch.no_grad(), kept_widths(net):
            if isinstance(means, dict):
                means = {**dict.fromkeys(("0", "3", "6"), width), **means}
            set_widths(net, means)
            floats = net(digits.real(digits.test.codes[:20]))
        # In floating point the same, but for ties that its roundings turn.
        assert (floats.argmax(1) == ours.labels).double().mean() > 0.8


def test_unknown_layers_and_widths_are_named(net):
    with pytest.raises(DownshiftError, match=r"^There is no layer '33'; the nearest name is '3'$"):
        set_widths(net, {"33": 4})
    with pytest.raises(DownshiftError, match=r"were trained at widths 8, 6, 4, 2, not 5$"):
        set_widths(net, {"3": 5})
