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
from downshift.sw.training.calibration import recalibrate_norms
from downshift.sw.training.config import Distillation, Stepping, TrainingConfig
from downshift.sw.training.evaluation import accuracies, first_without_numbers
from downshift.sw.training.joint import JointPhase
from downshift.sw.training.run import train
from downshift.sw.training.scale_optimizer import RateScaling

TINY = TrainingConfig(float_epochs=1, quantized_epochs=2, widths=(8, 2))


def states_equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


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
        {"centred_weights": True},
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


def test_statistics_are_of_images_as_they_were_learned_from(digits):
    """Those of images that are not moved would cost a network that learned from moved ones."""
    config = TrainingConfig(float_epochs=3, quantized_epochs=2, augmentation="crop")
    model = train(config, digits).model

    def shares():
        scale = digits.input_scale
        return accuracies(model.eval(), digits.validation, config.widths, input_scale=scale)

    learned = shares()
    recalibrate_norms(model, digits.train.codes, config.widths, input_scale=digits.input_scale)
    still = shares()
    assert all(learned[width] > still[width] + 0.01 for width in config.widths)


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
        ("widths", (2, 8), r"^Widths must fall, each named once, as 8,2 does, not 2,8$"),
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
# In one piece, since both processes write to the same pipe.
os.write(1, b"%f " % training.rows[-1]["accuracy_2"])
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
