from dataclasses import replace

import pytest
import torch

from downshift.hw.errors import DownshiftError
from downshift.sw.training.checkpoint import load_checkpoint, save_checkpoint
from downshift.sw.training.config import Distillation, TrainingConfig
from downshift.sw.training.scale_optimizer import RateScaling


def states_equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


def test_checkpoints_return_what_was_saved(tmp_path, short_training):
    config = TrainingConfig(rate_scaling=RateScaling.CONSTANT, distillation=Distillation.CHAIN)
    save_checkpoint(tmp_path / "a.pt", replace(short_training, config=config))
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert loaded.config == config
    assert loaded.float_accuracy == short_training.float_accuracy
    assert states_equal(loaded.model, short_training.model)
    assert states_equal(loaded.float_model, short_training.float_model)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


def test_a_network_of_ones_own_has_no_checkpoint(tmp_path, short_training):
    with pytest.raises(DownshiftError, match=r"^A checkpoint cannot hold a network of your own; f"):
        save_checkpoint(tmp_path / "a.pt", replace(short_training, named=False))
    assert not list(tmp_path.iterdir())


def contents(**changes):
    content = {"format": "downshift-checkpoint", "version": 4, "config": {}, "float_accuracy": 0.5}
    return content | {"state": {}} | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "is no Downshift checkpoint; run"),
        (contents(version=7), "has version 7, this program reads 4; run"),
        (contents(config={"network": "vgg"}), "does not fit any network of this program; run"),
        (contents(), "does not fit any network of this program; run"),
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
    save_checkpoint(path, short_training)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (b"", b"text", whole[:middle], flipped):
        path.write_bytes(damaged)
        with pytest.raises(DownshiftError, match=r"a.pt is damaged or no checkpoint; run"):
            load_checkpoint(path)


@pytest.mark.parametrize(
    "changes", [{"widths": (8, 4)}, {"network": "lenet"}, {"network": "resnet8"}]
)
def test_checkpoints_of_another_network_are_refused(changes, tmp_path, short_training):
    config = TrainingConfig(**changes)
    save_checkpoint(tmp_path / "a.pt", replace(short_training, config=config))
    with pytest.raises(DownshiftError, match="does not fit any network of this program"):
        load_checkpoint(tmp_path / "a.pt")


def test_sizes_are_not_allocated_before_they_are_checked(tmp_path, short_training):
    huge = replace(short_training, input_shape=(1 << 20, 1 << 20, 1 << 10))
    save_checkpoint(tmp_path / "a.pt", huge)
    with pytest.raises(DownshiftError, match="does not fit any network of this program"):
        load_checkpoint(tmp_path / "a.pt")
