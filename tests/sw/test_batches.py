import torch

from downshift.sw.training.batches import Batches, as_learned, moved
from downshift.sw.training.config import Augmentation, TrainingConfig
from downshift.sw.training.processes import Processes


def test_images_move_and_mirror():
    codes = torch.arange(1, 41, dtype=torch.uint8).view(1, 1, 5, 8).repeat(300, 2, 1, 1)
    out = moved(codes, torch.Generator().manual_seed(0), flip=True)
    assert torch.equal(out[:, 0], out[:, 1])
    padded = torch.nn.functional.pad(codes[0, 0], (4, 4, 4, 4))
    places = {
        padded[y : y + 5, x : x + 8].flip(1 if f else ()).numpy().tobytes()
        for y in range(9) for x in range(9) for f in (0, 1)
    }  # fmt: skip
    seen = {image.numpy().tobytes() for image in out[:, 0]}
    assert seen <= places and len(seen) > 100


def test_images_as_they_are_learned_from_are_moved_once(few):
    plain = TrainingConfig()
    assert as_learned(few, plain) is few
    moving = TrainingConfig(augmentation="crop", seed=3)
    seen, again = as_learned(few, moving), as_learned(few, moving)
    assert torch.equal(seen.train.codes, again.train.codes)
    assert torch.equal(seen.train.labels, few.train.labels)
    assert seen.validation is few.validation and seen.test is few.test
    assert seen.train.codes.shape == few.train.codes.shape
    same = (seen.train.codes == few.train.codes).flatten(1).all(1)
    assert 0 < int(same.sum()) < len(same) / 4


def batches(split, **changes):
    settings = {
        "input_scale": 1 / 16, "size": 50, "epochs": 4, "peak": 0.5, "seed": 3,
        "augmentation": Augmentation.NONE, "processes": Processes(),
    }  # fmt: skip
    return Batches(split, **settings | changes)


def test_epochs_go_through_all_images_in_another_order(few):
    given = batches(few.train)
    epochs = [list(given.epoch(index)) for index in (0, 1, 0)]
    labels = [torch.cat([batch.labels for batch in epoch]).tolist() for epoch in epochs]
    assert labels[0] == labels[2] != labels[1]
    assert [len(x) for x in labels] == [300] * 3  # the last 20 are no whole batch
    assert [batch.step for batch in epochs[1]] == [6, 7, 8, 9, 10, 11]
    assert epochs[0][0].rate == 0.5 and epochs[1][5].rate < epochs[1][0].rate < 0.5
    assert epochs[0][0].images.max() <= 1


def test_processes_share_each_batch(few):
    whole = next(batches(few.train).epoch(0))
    shares = [next(batches(few.train, processes=Processes(r, 2)).epoch(0)) for r in (0, 1)]
    assert torch.equal(torch.stack([b.labels for b in shares], 1).flatten(), whole.labels)
