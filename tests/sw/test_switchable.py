import pytest
import torch

from downshift.hw.errors import DownshiftError
from downshift.sw.networks.small import SmallNet
from downshift.sw.quantization.prepare import prepare
from downshift.sw.quantization.switchable import (
    SMALLEST_GAIN,
    SwitchableBatchNorm2d,
    scale_parameters,
)
from downshift.sw.quantization.widths import set_widths


def prepared(float_net):
    return prepare(float_net, widths=(8, 6, 4, 2), input_scale=1 / 16)


def quant_net():
    return prepared(SmallNet((8, 8, 1), 10))


def test_pins_hold_at_every_width():
    model = quant_net()
    for width in (8, 6, 4, 2):
        set_widths(model, width)
        layers = (model.conv1, model.conv2, model.linear)
        assert [x.weight_quant.tensor_quant.width for x in layers] == [8, width, 8]
        relus = (model.input, model.relu1, model.relu2)
        proxies = [x.act_quant.fused_activation_quant_proxy for x in relus]
        assert [p.tensor_quant.width for p in proxies] == [8, width, 8]
        assert model.norm1.width == model.norm2.width == width


def test_unknown_widths_are_refused():
    with pytest.raises(DownshiftError, match=r"were trained at widths 8, 6, 4, 2, not 5$"):
        set_widths(quant_net(), 5)


def test_negative_factors_move_into_the_weights(digits):
    source = SmallNet((8, 8, 1), 10)
    for norm in (source.norm1, source.norm2):
        norm.weight.data = torch.linspace(-1, 1, norm.num_features)
        norm.running_mean.data = torch.linspace(-0.1, 0.1, norm.num_features)
        norm.bias.data = torch.linspace(0.3, -0.2, norm.num_features)
    model = prepared(source)
    target = SmallNet((8, 8, 1), 10)
    state = {k.replace("norms.8.", ""): v for k, v in model.state_dict().items()}
    target.load_state_dict({k: state[k] for k in target.state_dict()})
    images = digits.real(digits.test.codes[:32])
    torch.testing.assert_close(target.eval()(images), source.eval()(images))
    assert all(norm.weight.min() >= 0 for norm in (target.norm1, target.norm2))


def test_factors_are_kept_positive():
    norm = SwitchableBatchNorm2d(2, widths=(8, 2))
    norm.norm.weight.data[:] = torch.tensor([-3.0, 2.0])
    assert norm.gain.tolist() == [SMALLEST_GAIN, 2.0]
    norm(torch.ones(2, 2, 3, 3))
    assert norm.norm.weight.tolist() == [SMALLEST_GAIN, 2.0]


def test_the_fixed_input_scale_is_not_learned():
    # Three layers and the two activations between them.
    assert len(scale_parameters(quant_net())) == 5
