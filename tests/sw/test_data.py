import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from image_arrays import arrays

from downshift.hw.errors import DownshiftError
from downshift.sw.data.archives import load_archive
from downshift.sw.data.digits import load_digits
from downshift.sw.data.fetch import data_folder
from downshift.sw.data.images import make_images
from downshift.sw.data.named import load_dataset
from downshift.sw.quantization.freeze import Frozen, freeze
from downshift.sw.training.checkpoint import load_checkpoint, save_checkpoint
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.run import train


def saved(path, **content):
    np.savez(path / "own.npz", **content)
    return path / "own.npz"


def rows(*splits):
    """Images and labels of splits as a set: what is in them, in whatever order."""
    return sorted(
        bytes(codes.numpy().tobytes()) + bytes([int(label)])
        for split in splits
        for codes, label in zip(split.codes, split.labels, strict=True)
    )


def test_digits_are_codes_of_sixteenths():
    digits = load_digits()
    assert [len(part) for part in (digits.train, digits.validation, digits.test)] == [
        1212,
        135,
        450,
    ]
    assert digits.train.codes.shape[1:] == (1, 8, 8) and digits.test.codes.max() == 16
    assert (digits.input_shape, digits.input_scale, digits.classes) == ((8, 8, 1), 1 / 16, 10)
    assert digits.real(digits.test.codes).max() == 1


def test_pixels_are_their_own_codes(tmp_path):
    content = arrays()
    images = load_archive(saved(tmp_path, **content))
    assert np.array_equal(images.test.codes.permute(0, 2, 3, 1).numpy(), content["test_x"])
    assert np.array_equal(images.test.labels.numpy(), content["test_y"])
    assert (images.input_shape, images.input_scale, images.classes) == ((5, 7, 3), 1 / 255, 3)


def test_a_part_for_validation_is_split_off_for_good():
    first, again = (make_images(arrays(), input_scale=1.0, where="own") for _ in range(2))
    assert [len(first.train), len(first.validation)] == [27, 3]
    assert torch.equal(first.validation.codes, again.validation.codes)
    whole = make_images(
        arrays(validation_x=arrays()["test_x"], validation_y=arrays()["test_y"]),
        input_scale=1.0, where="own",
    )  # fmt: skip
    assert len(whole.train) == 30
    assert rows(first.train, first.validation) == rows(whole.train)
    assert rows(whole.validation) == rows(whole.test)


@pytest.mark.parametrize(
    ("network", "shape"),
    [("small", (5, 7, 3)), ("small", (4, 4)), ("small", (9, 4, 1)), ("perceptron", (11,))],
)
def test_own_images_train_freeze_and_come_back(network, shape, tmp_path):
    images = load_archive(saved(tmp_path, **arrays(shape)))
    config = TrainingConfig(
        network=network, float_epochs=1, quantized_epochs=1, widths=(8, 2), batch_size=10
    )
    training = train(config, images)
    save_checkpoint(tmp_path / "own.pt", training)
    graph = load_checkpoint(tmp_path / "own.pt").graph()
    assert (graph.name, graph.input_shape) == ("own", images.input_shape)
    assert (graph.input_scale, graph.layers[-1].out_channels) == (np.float32(1 / 255), 3)
    frozen = freeze(training.model, input_shape=images.input_shape)
    x = images.test.codes
    for width in (8, 2):
        assert torch.equal(frozen(x, width).logits, Frozen(graph)(x, width).logits)


def ones(*shape, dtype=np.uint8):
    return np.ones(shape, dtype)


WRONG = {
    r"lacks the array test_y; save one with numpy.savez\(": {"test_y": None},
    r"train_x must be uint8 of shape \(.*\), not float64 of .*\)$": {"train_x": np.ones((30, 4))},
    r"test_x must be uint8 .* not uint8 of shape \(8,\)$": {"test_x": ones(8)},
    r"holds validation_x without its counterpart; give both or none$": {
        "validation_x": ones(8, 5, 7, 3),
    },
    r"train_y must be integers .* not float64 of shape \(30,\)$": {"train_y": np.ones(30)},
    r"test_y must be integers .* not int64 of shape \(8, 1\)$": {"test_y": np.ones((8, 1), int)},
    r"test_x holds no images, its shape is \(0, 5, 7, 3\);": {"test_x": ones(0, 5, 7, 3)},
    r"train_x holds 30 images, train_y 29 labels; give one to each$": {"train_y": np.ones(29, int)},
    r"train_x holds images of shape \(5, 7, 3\), test_x of \(4,": {"test_x": ones(8, 4, 7, 3)},
    r"train_y holds the negative label -1; count from 0$": {"train_y": np.arange(30) - 1},
    r"train_y holds the label 1024, beyond the last class 1023$": {"train_y": np.full(30, 1024)},
    r"test_y holds the label 7, beyond the last class 2$": {"test_y": np.arange(8)},
    r"train_x holds one image, its shape is \(1, 5, 7, 3\); give some$": {
        "train_x": ones(1, 5, 7, 3), "train_y": np.zeros(1, int),
    },
    r"is damaged, or holds more than arrays; save one with": {"train_y": np.array([{}] * 30)},
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_arrays_that_cannot_be_trained_on_are_named(message, tmp_path):
    path = saved(tmp_path, **arrays(**WRONG[message]))
    with pytest.raises(DownshiftError, match=rf"^{path}:? {message}"):
        load_archive(path)


def test_files_that_are_no_archives_are_refused(tmp_path):
    path = tmp_path / "own.npz"
    with pytest.raises(DownshiftError, match=r"^Cannot read images .*own.npz: No such file or d"):
        load_archive(path)
    whole = saved(tmp_path, **arrays()).read_bytes()
    np.save(tmp_path / "one.npy", np.ones(3))
    for content in (b"", b"text", whole[: len(whole) // 2], (tmp_path / "one.npy").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(DownshiftError, match=r"own.npz is not a .npz file; save one with"):
            load_archive(path)


def test_damaged_archives_are_refused(tmp_path):
    path = saved(tmp_path, **arrays())
    whole = path.read_bytes()
    intact = load_archive(path)
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            with warnings.catch_warnings(action="ignore"):
                images = load_archive(path)
        except DownshiftError as error:
            assert str(path) in str(error)
        else:  # a place that nothing depends on
            assert torch.equal(images.train.codes, intact.train.codes)


def test_reading_codes_does_not_import_torch():
    code = "import sys, downshift.sw.data.codes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def pictures(folder, *, mode="L", size=(6, 5)):
    from PIL import Image

    for part, n in (("train", 3), ("test", 1)):
        for shade, name in enumerate(("cat", "dog")):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for index in range(n):
                picture = Image.new(mode, size, 10 * (shade + 1) + index)
                picture.save(folder / part / name / f"{index}.png")


def test_pictures_are_read_from_folders(tmp_path):
    pictures(tmp_path)
    images = load_dataset(str(tmp_path))
    assert (images.input_shape, images.classes) == ((5, 6, 1), 2)
    assert images.test.labels.tolist() == [0, 1]
    assert images.test.codes.flatten(1).float().mean(1).tolist() == [10, 20]
    pictures(tmp_path, mode="RGB")
    assert load_dataset(str(tmp_path)).input_shape == (5, 6, 3)


def test_folders_that_cannot_be_trained_on_are_refused(tmp_path):
    with pytest.raises(DownshiftError, match=rf"^Folder {tmp_path} has no pictures to train on; "):
        load_dataset(str(tmp_path))
    pictures(tmp_path)
    (tmp_path / "test" / "cow").mkdir()
    with pytest.raises(DownshiftError, match=r"test/cow is of a class that train lacks; it must"):
        load_dataset(str(tmp_path))
    (tmp_path / "test" / "cow").rmdir()
    odd = tmp_path / "train" / "dog" / "1.png"
    odd.write_bytes(b"no picture")
    with pytest.raises(DownshiftError, match=rf"^Picture {odd} cannot be read: "):
        load_dataset(str(tmp_path))
    odd.unlink()
    pictures(tmp_path / "other", size=(7, 7))
    (tmp_path / "other" / "train" / "dog" / "0.png").rename(odd)
    with pytest.raises(
        DownshiftError, match=rf"^Picture {odd} has 7 x 7 pixels, the first one 6 x"
    ):
        load_dataset(str(tmp_path))


def test_data_lies_in_the_cache_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("DOWNSHIFT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_folder(None) == tmp_path / "downshift" / "data"
    assert data_folder(tmp_path) == tmp_path
