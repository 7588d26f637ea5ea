"""Networks that give an image again: the autoencoder, at every width."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from downshift.hw.errors import DownshiftError
from downshift.sim import golden
from downshift.sw.data.images import make_images
from downshift.sw.data.targets import loss, score
from downshift.sw.quantization.freeze import freeze
from downshift.sw.quantization.lowering import lower
from downshift.sw.training.checkpoint import load_checkpoint, save_checkpoint
from downshift.sw.training.config import Augmentation, Distillation, Task, TrainingConfig
from downshift.sw.training.distillation import Lesson
from downshift.sw.training.evaluation import accuracies
from downshift.sw.training.run import learned_images, train

CONFIG = TrainingConfig(
    network="autoencoder", widths=(8, 2), float_epochs=12, quantized_epochs=4, batch_size=32
)


@pytest.fixture(scope="module")
def trained(digits):
    return train(CONFIG, digits)


def test_the_autoencoder_gives_digits_again(trained, digits):
    images = learned_images(digits, CONFIG)
    assert (trained.classes, trained.model.linear.out_features) == (64, 64)
    assert torch.equal(images.test.labels, images.real(digits.test.codes).flatten(1))
    assert trained.float_accuracy > 0.5
    assert trained.rows[-1]["accuracy_8"] > 0.5 > trained.rows[0]["accuracy"] > 0
    # In integers, with the scale that the graph has for its outputs, it explains as much.
    frozen = freeze(trained.model, input_shape=digits.input_shape)
    shares = accuracies(trained.model, images.test, (8, 2), input_scale=images.input_scale)
    for width, share in shares.items():
        assert share > 0.3
        whole = frozen.accuracy(images.test.codes, images.test.labels, width)
        assert whole == pytest.approx(share, abs=0.01)


def test_its_integers_are_golden(trained, digits):
    graph = lower(trained.model, input_shape=digits.input_shape)
    frozen = freeze(trained.model, input_shape=digits.input_shape)
    x = digits.test.codes[:40]
    for width in (8, 2):
        expected = golden.run(graph, x.numpy().transpose(0, 2, 3, 1), width)
        np.testing.assert_array_equal(frozen(x, width).logits.numpy(), expected.logits)


def test_its_checkpoint_comes_back(trained, tmp_path):
    save_checkpoint(tmp_path / "a.pt", trained)
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert loaded.config == CONFIG and loaded.config.reconstructs and loaded.classes == 64
    other = replace(CONFIG, network="small", task=Task.RECONSTRUCT)
    assert TrainingConfig.from_fields(vars(other)).reconstructs


def test_teachers_teach_values():
    outputs = [torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])]
    lesson = Lesson(torch.zeros(1, 2), Distillation.STAR, share=0.25, temperature=2.0)
    assert [lesson.loss(x).item() for x in outputs] == [2.5, 0.75 * 8 + 0.25 * 2.5]


def test_values_that_never_change_can_be_missed_but_not_divide():
    same = torch.ones(3, 2)
    assert score(same, same) == 1.0
    assert score(same + 1, same) < 0
    assert loss(same, same + 3).item() == 9.0


def test_one_class_is_enough_where_none_is_learned():
    x, y = np.arange(60, dtype=np.uint8).reshape(10, 2, 3), np.zeros(10, int)
    images = make_images({"train_x": x, "train_y": y, "test_x": x, "test_y": y},
                         input_scale=1 / 255, where="own")  # fmt: skip
    assert learned_images(images, CONFIG).classes == 6
    with pytest.raises(DownshiftError, match=r"must be of at least 2 classes, not only of label 0"):
        learned_images(images, TrainingConfig())


def test_images_that_move_cannot_be_given_again():
    with pytest.raises(DownshiftError, match=r"must stay as they are: augmentation none, not crop"):
        replace(CONFIG, augmentation=Augmentation.CROP)
