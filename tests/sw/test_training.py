import pytest
import torch

from downshift.hw.errors import DownshiftError
from downshift.sw.checkpoint import load_checkpoint, save_checkpoint
from downshift.sw.prepare import prepare
from downshift.sw.scale_optimizer import RateScaling, ScaleAdam, adapted_rate
from downshift.sw.small_net import FloatNet
from downshift.sw.switchable import (
    SMALLEST_GAIN,
    SwitchableBatchNorm2d,
    scale_parameters,
)
from downshift.sw.training import TrainingConfig, float_accuracy, train_small_net
from downshift.sw.widths import set_widths

TINY = TrainingConfig(float_epochs=1, quantized_epochs=1, widths=(8, 2))


def quant_net():
    return prepared(FloatNet((8, 8, 1), 10))


def prepared(float_net):
    return prepare(float_net, widths=(8, 6, 4, 2), input_scale=1 / 16)


def states_equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


def test_a_short_training_learns_at_every_width(short_training, digits):
    model = short_training.model
    for width in (8, 6, 4, 2):
        set_widths(model, width)
        assert float_accuracy(model, digits.test_images, digits.test_labels) > 0.85


def test_equal_seeds_give_equal_networks_and_touch_nothing_global(digits):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    first, second = (train_small_net(TINY, data=digits) for _ in range(2))
    assert states_equal(first.model, second.model)
    assert first.scale_rates == second.scale_rates
    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()


def test_progress_counts_both_phases(digits):
    calls = []
    train_small_net(TINY, data=digits, progress=lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(1, 2), (2, 2)]


def test_a_rate_that_diverges_names_the_step(digits):
    config = TrainingConfig(float_epochs=1, quantized_epochs=1, float_rate=1e38)
    with pytest.raises(DownshiftError, match=r"^Loss became nan at step \d+ in FP32: lower the"):
        train_small_net(config, data=digits)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("widths", (2, 8), r"^Widths must fall, each named once, not \(2, 8\)$"),
        ("widths", (9, 2), r"^Widths must be in 1..8, not \(9, 2\)$"),
        ("batch_size", 0, r"^batch_size must be positive, not 0$"),
        ("float_rate", float("nan"), r"^float_rate must be positive, not nan$"),
        ("threads", 0, r"^threads must be positive, not 0$"),
    ],
)
def test_configurations_that_cannot_work_are_refused(field, value, message):
    with pytest.raises(DownshiftError, match=message):
        TrainingConfig(**{field: value})


@pytest.mark.parametrize(
    ("width", "eta"), [(8, 1), (7, 0.5), (6, 0.1), (5, 0.05), (4, 0.01), (3, 0.005), (2, 0.001)]
)
def test_scale_rates_follow_the_width(width, eta):
    def rate(scaling, *gradients):
        gradients = [torch.tensor(g) for g in gradients]
        return adapted_rate(2.0, width=width, stored_width=8, gradients=gradients, scaling=scaling)

    assert rate(RateScaling.NONE, [0.5]) == 2
    assert rate(RateScaling.CONSTANT, [0.5]) == pytest.approx(2 * eta)
    assert rate(RateScaling.INTENT, [-0.5, 0.1], [0.0]) == pytest.approx(2 * eta * 0.75)
    assert rate(RateScaling.INTENT, [9.0]) > 0


def test_scales_stay_positive_and_widths_keep_their_moments():
    scale = torch.nn.Parameter(torch.tensor([1.0, 1e-6]))
    optimizer = ScaleAdam([scale])
    for width in (8, 2) * 50:
        scale.grad = torch.tensor([1.0, 1.0]) if width == 8 else torch.tensor([-1e6, 0.0])
        optimizer.step(width=width, rate=0.5)
    # Equal and opposite steps, though one gradient is a million times the other.
    torch.testing.assert_close(scale.detach()[0], torch.tensor(1.0))
    assert 0 < scale[1] < 1e-6


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
    source = FloatNet((8, 8, 1), 10)
    for norm in (source.norm1, source.norm2):
        norm.weight.data = torch.linspace(-1, 1, norm.num_features)
        norm.running_mean.data = torch.linspace(-0.1, 0.1, norm.num_features)
        norm.bias.data = torch.linspace(0.3, -0.2, norm.num_features)
    model = prepared(source)
    target = FloatNet((8, 8, 1), 10)
    state = {k.replace("norms.8.", ""): v for k, v in model.state_dict().items()}
    target.load_state_dict({k: state[k] for k in target.state_dict()})
    images = digits.test_images[:32]
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


def test_checkpoints_return_what_was_saved(tmp_path, short_training):
    config = TrainingConfig(rate_scaling=RateScaling.CONSTANT)
    save_checkpoint(tmp_path / "a.pt", short_training, config)
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert loaded.config == config
    assert loaded.float_accuracy == short_training.float_accuracy
    assert states_equal(loaded.model, short_training.model)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


def contents(**changes):
    content = {"format": "downshift-checkpoint", "version": 2, "model": "small net"}
    return content | {"config": {}, "float_accuracy": 0.5, "state": {}} | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "is no Downshift checkpoint; run"),
        (contents(version=7), "has version 7, this program reads 2; run"),
        (contents(model="vgg"), "holds the model 'vgg', not 'small net'; run"),
        (contents(), "does not fit the model 'small net' of this program; run"),
    ],
)
def test_checkpoints_that_are_something_else_are_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(DownshiftError, match=message):
        load_checkpoint(tmp_path / "a.pt")


def test_checkpoints_that_cannot_be_read_are_named(tmp_path, short_training):
    path = tmp_path / "a.pt"
    with pytest.raises(DownshiftError, match=r"^Checkpoint .*a.pt cannot be read: No such file"):
        load_checkpoint(path)
    save_checkpoint(path, short_training, TrainingConfig())
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (b"", b"text", whole[:middle], flipped):
        path.write_bytes(damaged)
        with pytest.raises(DownshiftError, match=r"a.pt is damaged or no checkpoint; run"):
            load_checkpoint(path)


def test_checkpoints_of_another_shape_are_refused(tmp_path, short_training):
    save_checkpoint(tmp_path / "a.pt", short_training, TrainingConfig(widths=(8, 4)))
    with pytest.raises(DownshiftError, match="does not fit the model 'small net'"):
        load_checkpoint(tmp_path / "a.pt")
