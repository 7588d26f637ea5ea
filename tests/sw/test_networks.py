import pytest
import torch

from downshift.hw.errors import DownshiftError
from downshift.sim import golden
from downshift.sw.networks import NETWORKS, build_network
from downshift.sw.quantization.freeze import freeze
from downshift.sw.quantization.prepare import prepare
from downshift.sw.training.calibration import calibrate

SIZES = {
    "small": ((8, 8, 1), 10, 84_224),
    "lenet": ((28, 28, 1), 10, 416_520),
    "resnet8": ((32, 32, 3), 10, 12_501_632),
    "resnet20": ((32, 32, 3), 10, 40_915_584),
    "ds-cnn": ((49, 10, 1), 12, 2_656_768),
    "mobilenet-v1": ((96, 96, 3), 2, 7_489_664),
    "mobilenet-v2": ((32, 32, 3), 10, 87_976_448),
    "autoencoder": ((1, 1, 640), 640, 264_192),
    "perceptron": ((1, 1, 30), 2, 6_144),
}
"""Input, outputs, and products of one input: for MLPerf Tiny's networks those of the benchmark,
plus what multiplies maps by one between the layers."""


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_runs_at_every_width_as_golden_does(name):
    shape, classes, macs = SIZES[name]
    torch.manual_seed(0)
    model = prepare(build_network(name, shape, classes), widths=(8, 2), input_scale=1 / 255)
    codes = torch.randint(0, 256, (4, shape[2], *shape[:2]), dtype=torch.uint8)
    calibrate(model, codes / 255, (8, 2))
    frozen = freeze(model.eval(), input_shape=shape)
    assert frozen.graph.macs == macs
    for width in (8, 2):
        ours = frozen(codes[:1], width).logits.numpy()
        theirs = golden.run(frozen.graph, codes[:1].permute(0, 2, 3, 1).numpy(), width).logits
        assert (ours == theirs).all() and ours.std() > 0


def test_networks_that_cannot_be_made_are_refused():
    with pytest.raises(DownshiftError, match=r"^There is no network 'vgg'; choose one of small, "):
        build_network("vgg", (8, 8, 1), 10)
    with pytest.raises(DownshiftError, match=r"^Images must have at least 12 x 12 pixels and 1 ch"):
        build_network("lenet", (8, 28, 1), 10)
    with pytest.raises(DownshiftError, match=r"^Classes must be at least 2, not 1$"):
        build_network("small", (8, 8, 1), 1)
