import torch

from downshift.sw.quantization.switchable import SwitchableBatchNorm
from downshift.sw.quantization.widths import set_widths
from downshift.sw.training.calibration import kept_statistics, recalibrate_norms, settle_norms


def test_statistics_are_those_of_all_images(untrained, digits):
    images = digits.real(digits.train.codes[:300])
    with kept_statistics(untrained):
        recalibrate_norms(untrained, images, (8, 2), batch_size=100)
        for width in (8, 2):
            set_widths(untrained, width)
            sums = untrained.conv1(untrained.input(images))
            norm = untrained.norm1.norm
            torch.testing.assert_close(norm.running_mean, sums.mean((0, 2, 3)))
            assert norm.momentum == 0.1
    set_widths(untrained, 8)


def test_codes_settle_as_their_real_values_do(untrained, digits):
    found = []
    for images, scale in ((digits.train.codes[:64], 1 / 16), (digits.train.codes[:64] / 16, 1.0)):
        with kept_statistics(untrained):
            settle_norms(untrained, images, input_scale=scale)
            found.append(untrained.norm2.norm.running_var.clone())
    assert torch.equal(*found)


def test_statistics_and_mode_are_kept(untrained, digits):
    before = {name: value.clone() for name, value in untrained.state_dict().items()}
    with kept_statistics(untrained):
        settle_norms(untrained, digits.real(digits.train.codes[:64]))
        norms = [m for m in untrained.modules() if isinstance(m, SwitchableBatchNorm)]
        assert norms[0].training
    assert not untrained.training
    assert all(torch.equal(value, before[name]) for name, value in untrained.state_dict().items())
