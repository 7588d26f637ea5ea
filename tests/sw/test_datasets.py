import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from downshift.hw.errors import DownshiftError
from downshift.sw.checkpoint import load_checkpoint, save_checkpoint
from downshift.sw.datasets import load_digits, load_images
from downshift.sw.freeze import Frozen, freeze
from downshift.sw.training import TrainingConfig, train_small_net


def arrays(shape=(5, 7, 3), **changes):
    rng = np.random.default_rng(0)
    content = {
        "train_x": rng.integers(0, 256, (30, *shape)).astype(np.uint8),
        "train_y": np.arange(30) % 3,
        "test_x": rng.integers(0, 256, (8, *shape)).astype(np.uint8),
        "test_y": np.arange(8) % 3,
    }
    return {name: array for name, array in (content | changes).items() if array is not None}


def saved(path, **content):
    np.savez(path / "own.npz", **content)
    return path / "own.npz"


def test_digits_are_codes_of_sixteenths():
    digits = load_digits()
    assert digits.train_images.shape == (1347, 1, 8, 8) and len(digits.test_labels) == 450
    codes = digits.test_images * 16
    assert torch.equal(codes, codes.round()) and codes.max() == 16
    assert (digits.input_shape, digits.input_scale, digits.classes) == ((8, 8, 1), 1 / 16, 10)


def test_pixels_are_their_own_codes(tmp_path):
    content = arrays()
    images = load_images(saved(tmp_path, **content))
    codes = (images.train_images / images.input_scale).round().byte().permute(0, 2, 3, 1)
    assert np.array_equal(codes.numpy(), content["train_x"])
    assert np.array_equal(images.test_labels.numpy(), content["test_y"])
    assert (images.input_shape, images.input_scale, images.classes) == ((5, 7, 3), 1 / 255, 3)


@pytest.mark.parametrize("shape", [(5, 7, 3), (4, 4), (9, 4, 1)])
def test_own_images_train_freeze_and_come_back(shape, tmp_path):
    images = load_images(saved(tmp_path, **arrays(shape)))
    config = TrainingConfig(float_epochs=1, quantized_epochs=1, widths=(8, 2), batch_size=10)
    training = train_small_net(config, data=images)
    save_checkpoint(tmp_path / "own.pt", training, config)
    graph = load_checkpoint(tmp_path / "own.pt").graph()
    assert (graph.name, graph.input_shape) == ("own", images.input_shape)
    assert (graph.input_scale, graph.layers[-1].out_channels) == (np.float32(1 / 255), 3)
    frozen = freeze(training.model, input_shape=images.input_shape)
    x = frozen.quantize(images.test_images)
    for width in (8, 2):
        assert torch.equal(frozen(x, width).logits, Frozen(graph)(x, width).logits)


def ones(*shape, dtype=np.uint8):
    return np.ones(shape, dtype)


WRONG = {
    r"lacks the array test_y; save one with numpy.savez\(": {"test_y": None},
    r"train_x must be uint8 of shape \(.*\), not float64 of .*\)$": {"train_x": np.ones((30, 4))},
    r"test_x must be uint8 .* not uint8 of shape \(8, 4\)$": {"test_x": ones(8, 4)},
    r"train_y must be integers .* not float64 of shape \(30,\)$": {"train_y": np.ones(30)},
    r"test_y must be integers .* not int64 of shape \(8, 1\)$": {"test_y": np.ones((8, 1), int)},
    r"test_x holds no images, its shape is \(0, 5, 7, 3\);": {"test_x": ones(0, 5, 7, 3)},
    r"train_x holds 30 images, train_y 29 labels; give one to each$": {"train_y": np.ones(29, int)},
    r"train_x holds images of shape \(5, 7, 3\), test_x of \(4,": {"test_x": ones(8, 4, 7, 3)},
    r"train_y holds the negative label -1; count from 0$": {"train_y": np.arange(30) - 1},
    r"train_y holds the label 1024, beyond the last class 1023$": {"train_y": np.full(30, 1024)},
    r"test_y holds the label 7, beyond the last class 2$": {"test_y": np.arange(8)},
    r"train_y must hold at least 2 classes, not only label 0$": {
        "train_y": np.zeros(30, int), "test_y": np.zeros(8, int),
    },
    r"images must be at least 4 x 4 pixels, not of shape \(3, 9, 1\)$": {
        "train_x": ones(30, 3, 9), "test_x": ones(8, 3, 9),
    },
    r"is damaged, or holds more than arrays; save one with": {"train_y": np.array([{}] * 30)},
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_arrays_that_cannot_be_trained_on_are_named(message, tmp_path):
    path = saved(tmp_path, **arrays(**WRONG[message]))
    with pytest.raises(DownshiftError, match=rf"^{path}:? {message}"):
        load_images(path)


def test_files_that_are_no_archives_are_refused(tmp_path):
    path = tmp_path / "own.npz"
    with pytest.raises(DownshiftError, match=r"^Cannot read images .*own.npz: No such file or d"):
        load_images(path)
    whole = saved(tmp_path, **arrays()).read_bytes()
    np.save(tmp_path / "one.npy", np.ones(3))
    for content in (b"", b"text", whole[: len(whole) // 2], (tmp_path / "one.npy").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(DownshiftError, match=r"own.npz is not a .npz file; save one with"):
            load_images(path)


def test_damaged_archives_are_refused(tmp_path):
    path = saved(tmp_path, **arrays())
    whole = path.read_bytes()
    intact = load_images(path)
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            with warnings.catch_warnings(action="ignore"):
                images = load_images(path)
        except DownshiftError as error:
            assert str(path) in str(error)
        else:  # a place that nothing depends on
            assert torch.equal(images.train_images, intact.train_images)


def test_reading_codes_does_not_import_torch():
    code = "import sys, downshift.sw.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
