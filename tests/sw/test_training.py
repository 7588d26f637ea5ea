import csv
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from downshift.hw.errors import DownshiftError
from downshift.sw.networks import build_network
from downshift.sw.training.batches import Batches, moved
from downshift.sw.training.config import Augmentation, Distillation, Stepping, TrainingConfig
from downshift.sw.training.distillation import Lesson
from downshift.sw.training.evaluation import accuracies, first_without_numbers
from downshift.sw.training.joint import JointPhase
from downshift.sw.training.processes import Processes
from downshift.sw.training.run import train
from downshift.sw.training.scale_optimizer import RateScaling, ScaleAdam, ScaleRates

TINY = TrainingConfig(float_epochs=1, quantized_epochs=2, widths=(8, 2))


def states_equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def few(digits):
    """Digits for runs of seconds."""
    return replace(digits, train=digits.train.take(320), validation=digits.validation.take(50))


@pytest.fixture(scope="module")
def tiny(few):
    return train(TINY, few)


def test_a_short_training_learns_at_every_width(short_training, digits):
    shares = accuracies(short_training.model, digits.test, (8, 6, 4, 2), input_scale=1 / 16)
    assert min(shares.values()) > 0.85
    assert short_training.float_accuracy > 0.85


def test_equal_seeds_give_equal_networks_and_touch_nothing_global(few, tiny):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    again = train(TINY, few)
    assert states_equal(again.model, tiny.model)
    assert again.rows == tiny.rows
    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()
    assert not states_equal(train(replace(TINY, seed=1), few).model, tiny.model)


def test_progress_counts_both_phases(few):
    calls = []
    train(TINY, few, progress=lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(1, 3), (2, 3), (3, 3)]


def test_the_log_says_what_an_epoch_was(few, tiny, tmp_path):
    train(TINY, few, folder=tmp_path)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["phase"], row["epoch"]) for row in rows] == [
        ("float", "1"), ("joint", "1"), ("joint", "2"),
    ]  # fmt: skip
    assert {name: float(rows[0][name]) for name in ("loss", "accuracy", "rate", "update_ratio")}
    for width in (8, 2):
        for name in ("loss", "scale_rate", "accuracy"):
            assert float(rows[1][f"{name}_{width}"]) > 0
    assert float(rows[2]["scale_drift"]) > float(rows[1]["scale_drift"]) > 0
    assert float(rows[1]["scale_rate_2"]) < float(rows[1]["scale_rate_8"]) / 100
    assert any((tmp_path / "events").iterdir())
    assert json.loads((tmp_path / "config.json").read_text())["widths"] == [8, 2]


class StopError(Exception):
    """Ends a run in the middle."""


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("scaling", ["intent", "measured"])
def test_a_run_that_resumes_ends_with_the_same_numbers(few, tmp_path, epochs, scaling):
    config = replace(TINY, float_epochs=2, rate_scaling=RateScaling(scaling))

    def stop(done, total, text):
        if done == epochs + 1:
            raise StopError

    with pytest.raises(StopError):
        train(config, few, folder=tmp_path, progress=stop)
    resumed = train(config, few, folder=tmp_path, resume=True)
    whole = train(config, few)
    assert states_equal(resumed.model, whole.model)
    assert states_equal(resumed.float_model, whole.float_model)
    assert resumed.rows == whole.rows


def test_ctrl_c_leaves_a_network_and_a_run_that_resumes(few, tiny, tmp_path, monkeypatch):
    learn, steps = JointPhase.learn, []

    def interrupt(self, batch, share):
        steps.append(batch.step)
        if len(steps) == 8:
            raise KeyboardInterrupt
        return learn(self, batch, share)

    monkeypatch.setattr(JointPhase, "learn", interrupt)
    training = train(TINY, few, folder=tmp_path)
    assert training.interrupted and not training.model.training
    assert len(training.rows) == 2
    resumed = train(TINY, few, folder=tmp_path, resume=True)
    assert states_equal(resumed.model, tiny.model) and not resumed.interrupted


def test_runs_are_not_mixed_up(few, tmp_path):
    with pytest.raises(DownshiftError, match=r"^There is no run in .* to resume: .*config.json: "):
        train(TINY, few, folder=tmp_path, resume=True)
    train(TINY, few, folder=tmp_path)
    with pytest.raises(DownshiftError, match=r" holds a run; resume it, or choose another$"):
        train(TINY, few, folder=tmp_path)
    with pytest.raises(DownshiftError, match=r" was started with other settings; give those in "):
        train(replace(TINY, seed=3), few, folder=tmp_path, resume=True)
    with pytest.raises(DownshiftError, match=r"^The run in .* was started with other images; give"):
        other = replace(few, train=replace(few.train, labels=few.train.labels.flip(0)))
        train(TINY, other, folder=tmp_path, resume=True)
    with pytest.raises(DownshiftError, match=r"^The run in .* is of another network; give that"):
        own = build_network("resnet8", few.input_shape, few.classes)
        train(TINY, few, model=own, folder=tmp_path, resume=True)
    state = tmp_path / "state.pt"
    for content, message in ((b"?", "is damaged or no state"), (None, "is of another program")):
        if content is None:
            torch.save({"format": "other"}, state)
        else:
            state.write_bytes(content)
        with pytest.raises(DownshiftError, match=rf"^State .*state.pt {message}"):
            train(TINY, few, folder=tmp_path, resume=True)


def test_patience_ends_a_run_that_gets_no_better(few):
    config = replace(TINY, quantized_epochs=30, quantized_rate=1e-12, patience=2)
    rows = [row for row in train(config, few).rows if row["phase"] == "joint"]
    means = [row["accuracy_8"] + row["accuracy_2"] for row in rows]
    assert 3 <= len(rows) < 30
    assert means.index(max(means)) == len(rows) - 3


def test_a_network_of_ones_own_trains(few):
    model = nn.Sequential(
        *[nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1)],
        *[nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)],
    )
    before = model[0].weight.detach().clone()
    training = train(replace(TINY, float_epochs=0), few, model=model)
    assert not training.named
    assert torch.equal(model[0].weight, before)  # what is trained is a copy
    assert not torch.equal(training.model.get_submodule("0").weight, before)


@pytest.mark.parametrize(
    "changes",
    [
        {"stepping": Stepping.SUM},
        {"distillation": Distillation.CHAIN, "temperature": 2.0},
        {"rate_scaling": RateScaling.MEASURED},
        {"autocast": True},
        {"channels_last": True},
        {"augmentation": "crop"},
        {"paper_gradients": True},
        {"corrected_scales": True},
        {"transitional_norms": True, "quantized_rate": 3e-3},
        {"widths": (4, 2, 1), "stored_width": 4, "pin_ends": False, "per_channel": False},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_setting_learns(few, tiny, changes):
    training = train(replace(TINY, quantized_epochs=6, **changes), few)
    for width in training.config.widths:
        assert training.rows[-1][f"accuracy_{width}"] > 0.3
    assert not states_equal(training.model, tiny.model)


def test_labels_teach_with_the_share_that_is_left():
    logits = torch.tensor([[[2.0, 0.0]], [[1.0, 0.5]], [[0.2, 0.4]]])
    labels = torch.tensor([1])

    def losses(distillation, temperature=1.0):
        lesson = Lesson(labels, distillation, share=0.25, temperature=temperature)
        return [lesson.loss(z) for z in logits]

    def expected(pupil, teacher, t=1.0):
        hard = -pupil.log_softmax(1)[0, 1]
        soft = -((teacher / t).softmax(1) * (pupil / t).log_softmax(1)).sum() * t * t
        return 0.75 * hard + 0.25 * soft

    a, b, c = logits
    hard = [-z.log_softmax(1)[0, 1] for z in logits]
    torch.testing.assert_close(losses(Distillation.NONE), hard)
    star = [hard[0], expected(b, a), expected(c, a)]
    torch.testing.assert_close(losses(Distillation.STAR), star)
    chain = [hard[0], expected(b, a, 2.0), expected(c, b, 2.0)]
    torch.testing.assert_close(losses(Distillation.CHAIN, 2.0), chain)


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


def test_a_rate_that_diverges_names_step_and_module(few):
    with pytest.raises(DownshiftError, match=r"^Loss became nan at step \d+ in FP32; the first "):
        train(replace(TINY, float_rate=1e38), few)
    with pytest.raises(DownshiftError, match=r"at step \d+ at width \d; the first module .* is c"):
        train(replace(TINY, quantized_rate=1e38), few)


def test_the_first_module_without_numbers_is_found():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    x = torch.ones(1, 2)
    assert first_without_numbers(model, x) == ""
    model[1][0].bias.data[0] = float("inf")
    assert first_without_numbers(model, x) == "1.0"
    model[1][0].bias.data[0] = 3e38
    model[1][0].weight.data.fill_(3e38)
    assert first_without_numbers(model, x * 9e9) == "1.0"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("widths", (2, 8), r"^Widths must fall, each named once, not \(2, 8\)$"),
        ("widths", (9, 2), r"^Widths must be in 1..8, not \(9, 2\)$"),
        ("batch_size", 0, r"^batch_size must be positive, not 0$"),
        ("float_rate", float("nan"), r"^float_rate must be positive, not nan$"),
        ("threads", 0, r"^threads must be positive, not 0$"),
        ("float_epochs", -1, r"^float_epochs must not be negative, not -1$"),
        ("teacher_share", 1.5, r"^teacher_share must be in 0..1, not 1.5$"),
        ("network", "vgg", r"^There is no network 'vgg'; choose one of small, lenet, "),
    ],
)
def test_configurations_that_cannot_work_are_refused(field, value, message):
    with pytest.raises(DownshiftError, match=message):
        TrainingConfig(**{field: value})


def test_devices_that_are_not_there_are_refused(few):
    with pytest.raises(DownshiftError, match=r"^There is no device 'cuda:7' here; use cpu$"):
        train(TINY, few, device="cuda:7")


def rates(scaling, **kwargs):
    return ScaleRates(scaling, **{"widths": (8, 7, 6, 5, 4, 3, 2), "stored_width": 8} | kwargs)


@pytest.mark.parametrize(
    ("width", "eta"), [(8, 1), (7, 0.5), (6, 0.1), (5, 0.05), (4, 0.01), (3, 0.005), (2, 0.001)]
)
def test_scale_rates_follow_the_width(width, eta):
    def rate(scaling, *gradients):
        gradients = [torch.tensor(g) for g in gradients]
        given = rates(scaling).at(width, 2.0, gradients)
        assert given == [given[0]] * len(gradients)
        return given[0]

    assert rate(RateScaling.NONE, [0.5]) == 2
    assert rate(RateScaling.CONSTANT, [0.5]) == pytest.approx(2 * eta)
    assert rate(RateScaling.INTENT, [-0.5, 0.1], [0.0]) == pytest.approx(2 * eta * 0.75)
    assert rate(RateScaling.INTENT, [9.0]) > 0


def test_scales_stay_positive_and_widths_keep_their_moments():
    scale = torch.nn.Parameter(torch.tensor([1.0, 1e-6]))
    optimizer = ScaleAdam([scale])
    for width in (8, 2) * 50:
        scale.grad = torch.tensor([1.0, 1.0]) if width == 8 else torch.tensor([-1e6, 0.0])
        optimizer.step(width=width, rates=[0.5])
    # Equal and opposite steps, though one gradient is a million times the other.
    torch.testing.assert_close(scale.detach()[0], torch.tensor(1.0))
    assert 0 < scale[1] < 1e-6


def test_measured_rates_follow_the_gradients_of_each_scale():
    measured = rates(RateScaling.MEASURED)
    for _ in range(600):
        measured.at(8, 1.0, [torch.tensor([3.0, 4.0]), torch.tensor(1.0), None])
        at_4 = measured.at(4, 1.0, [torch.tensor([30.0, 40.0]), torch.tensor(0.5), None])
    # A tenth where gradients are ten times as large; never above that of the weights.
    assert at_4 == [pytest.approx(0.1), 1.0, 1.0]
    assert rates(RateScaling.MEASURED).at(2, 1.0, [torch.tensor(float("1e30"))])[0] > 0


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


PARALLEL = """
import sys, torch
from downshift.sw.training.processes import joined_processes
processes = joined_processes(torch.device("cpu"))
weight = torch.zeros(3, requires_grad=True)
weight.grad = torch.full((3,), float(processes.rank))
processes.average_gradients([weight])
assert weight.grad.tolist() == [0.5] * 3
from dataclasses import replace
from downshift.sw.data.digits import load_digits
from downshift.sw.training.config import TrainingConfig
from downshift.sw.training.run import train
digits = load_digits()
few = replace(digits, train=digits.train.take(640), validation=digits.validation.take(50))
config = TrainingConfig(float_epochs=3, quantized_epochs=2, widths=(8, 2))
training = train(config, few)
import os
torch.save(training.model.state_dict(), sys.argv[1] + os.environ["RANK"])
print(training.rows[-1]["accuracy_2"])
"""


def test_two_processes_learn_the_same_network(tmp_path):
    (tmp_path / "run.py").write_text(PARALLEL)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "--standalone", "run.py", "state"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"state{r}", weights_only=True) for r in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    accuracies = [float(line) for line in done.stdout.split()]
    assert len(accuracies) == 2 and min(accuracies) > 0.5
