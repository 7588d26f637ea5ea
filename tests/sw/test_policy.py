"""Policies: what they choose, how cascades are calibrated, their files, and the runner."""

import json
from itertools import product

import numpy as np
import pytest
from device_model import DeviceModel

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.sim import golden
from downshift.sim.random_networks import random_codes, random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.device.driver import Accelerator
from downshift.sw.policy.calibrate import calibrate
from downshift.sw.policy.policies import Budget, Cascade, Deadline, Fixed, margin
from downshift.sw.policy.policy_file import policy_text, read_policy
from downshift.sw.policy.replay import replay
from downshift.sw.policy.runner import PolicyRunner

CYCLES = {8: 1000, 4: 400, 2: 250}
POLICIES = [
    Fixed(4),
    Cascade(((2, 30), (4, 10), (8, 0))),
    Deadline(CYCLES, clock_hz=80e6, seconds_besides=1e-6),
    Budget(CYCLES, mean=500, window=10),
]


def drawn(count, *, seed=0):
    """Logits whose labels agree the more often, the wider they are apart."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(count, 10)) * 1000
    noise = {8: 0, 4: 150, 2: 500}
    return {
        width: (true + rng.normal(size=true.shape) * noise[width]).astype(np.int32)
        for width in CYCLES
    }


def test_margins_are_between_the_two_best():
    rng = np.random.default_rng(0)
    logits = rng.integers(-(2**31), 2**31 - 1, (100, 7), np.int64).astype(np.int32)
    ordered = np.sort(logits.astype(np.int64), axis=1)
    assert np.array_equal(margin(logits), ordered[:, -1] - ordered[:, -2])
    with pytest.raises(DownshiftError, match=r"^A network with one output has no margin"):
        margin(logits[:, :1])


def test_cascades_go_on_only_below_their_margin():
    cascade = Cascade(((2, 30), (4, 10), (8, 0)))
    assert cascade.first() == 2
    assert cascade.then(2, np.array([0, 30, 0])) is None
    assert cascade.then(2, np.array([0, 29, 0])) == 4
    assert cascade.then(4, np.array([5, 14, 0])) == 8
    assert cascade.then(8, np.array([5, 5, 5])) is None
    for steps in ((), ((8, 1), (8, 0))):
        with pytest.raises(DownshiftError, match=r"^A cascade has widths, each once, not "):
            Cascade(steps)


def test_deadlines_take_the_highest_width_in_time():
    deadline = Deadline(CYCLES, clock_hz=1e6, seconds_besides=1e-4)
    assert deadline.first() == 8
    assert deadline.first(1.1e-3) == 8
    assert deadline.first(1.099e-3) == 4
    assert deadline.first(0.5e-3) == 4
    assert deadline.first(0.36e-3) == 2
    assert deadline.first(0.0) == deadline.first(-1.0) == 2


@pytest.mark.parametrize(("mean", "window"), list(product((250, 300, 500, 777, 1000), (1, 2, 7))))
def test_budgets_are_kept_in_every_window(mean, window):
    logits = drawn(60)
    run = replay(Budget(CYCLES, mean=mean, window=window), logits, CYCLES)
    sums = np.convolve(run.cycles, np.ones(window, int), "valid")
    assert sums.max() <= mean * window
    if mean == 1000:
        assert set(run.widths) == {8}
    if mean == 250:
        assert set(run.widths) == {2}
    if window == 7 and mean == 500:
        assert len(set(run.widths)) > 1
        assert run.cycles.mean() > 400


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Budget(CYCLES, mean=249, window=3), "is below the least possible, 250"),
        (lambda: Budget(CYCLES, mean=300, window=0), "A window must have at least one frame"),
        (lambda: Deadline({}, clock_hz=1.0), "A deadline needs cycles by width"),
        (lambda: Deadline(CYCLES, clock_hz=0), "A deadline needs cycles by width, a clock"),
    ],
)
def test_policies_that_cannot_be_are_refused(make, message):
    with pytest.raises(DownshiftError, match=message):
        make()


@pytest.mark.parametrize("agreement", [0.9, 0.97, 0.99, 1.0])
def test_calibrated_cascades_agree_as_often_as_asked(agreement):
    logits = drawn(800)
    cascade = calibrate(logits, CYCLES, agreement=agreement)
    run = replay(cascade, logits, CYCLES)
    assert (run.labels == logits[8].argmax(1)).mean() >= agreement
    assert run.cycles.mean() <= CYCLES[8]
    # No cascade of two widths with a margin that occurs does better.
    for width in (4, 2):
        for least in np.unique(margin(logits[width])):
            other = replay(Cascade(((width, int(least)), (8, 0))), logits, CYCLES)
            agreed = (other.labels == logits[8].argmax(1)).mean()
            assert agreed < agreement or other.cycles.mean() >= 0.9 * run.cycles.mean()


def test_easier_goals_cost_less():
    logits = drawn(800)
    means = [
        replay(calibrate(logits, CYCLES, agreement=agreement), logits, CYCLES).cycles.mean()
        for agreement in (0.8, 0.95, 0.99, 1.0)
    ]
    assert means == sorted(means) and means[0] < means[-1]


def test_what_agrees_at_once_needs_no_second_run():
    logits = dict.fromkeys(CYCLES, drawn(50)[8])
    assert calibrate(logits, CYCLES, agreement=1.0) == Cascade(((2, 0),))
    # Where the others cost more than they save, it is the highest alone.
    assert calibrate(drawn(50), {8: 10, 4: 10, 2: 10}, agreement=1.0) == Cascade(((8, 0),))
    for wrong in (0, 1.1, float("nan")):
        with pytest.raises(DownshiftError, match=r"^Agreement must be above 0 and at most 1"):
            calibrate(logits, CYCLES, agreement=wrong)
    with pytest.raises(DownshiftError, match=r"^There are no frames to calibrate with$"):
        calibrate({width: each[:0] for width, each in logits.items()}, CYCLES, agreement=1)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
def test_policies_come_back_from_files(tmp_path, policy):
    (tmp_path / "p.json").write_text(policy_text(policy))
    again = read_policy(tmp_path / "p.json")
    assert type(again) is type(policy) and policy_text(again) == policy_text(policy)
    logits = drawn(40)
    first, second = (replay(each, logits, CYCLES) for each in (policy, again))
    assert np.array_equal(first.widths, second.widths)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Expecting"),
        ("[]", "it must be {…} with a policy"),
        ("{}", "it has no 'policy'"),
        ('{"policy": "guess"}', "policy must be fixed, cascade, deadline or budget, not 'guess'"),
        ('{"policy": "fixed"}', "it has no 'width'"),
        ('{"policy": "fixed", "width": 9}', "widths must be in 1..8, not 9"),
        ('{"policy": "fixed", "width": "8"}', "numbers must be whole and not negative, not '8'"),
        ('{"policy": "cascade", "steps": []}', "A cascade has widths"),
        ('{"policy": "cascade", "steps": [{"width": 8, "margin": -1}]}', "numbers must be whole"),
        (
            '{"policy": "deadline", "cycles": {}, "clock_hz": 1, "seconds_besides": 0}',
            "it has no cycles",
        ),
        (
            '{"policy": "deadline", "cycles": {"8": 1}, "clock_hz": NaN, "seconds_besides": 0}',
            "numbers must be finite and not negative, not nan",
        ),
        (
            '{"policy": "budget", "cycles": {"8": 9}, "mean": 1, "window": 2}',
            "A budget of 1 cycles a frame is below the least possible, 9",
        ),
        ("[" * 60_000, "recursion"),
    ],
)
def test_files_that_are_no_policies_are_refused(tmp_path, content, reason):
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(DownshiftError, match=r"p\.json is no policy: ") as caught:
        read_policy(tmp_path / "p.json")
    assert reason in str(caught.value).split("is no policy: ")[1]


CONFIG = AcceleratorConfig(weight_depth=4096, program_depth=2048, parameter_depth=1024)
GRAPH = random_network(np.random.default_rng(5))
IMAGE = compile_graph(GRAPH, CONFIG)


def test_the_runner_does_what_replay_does():
    x = random_codes(np.random.default_rng(1), GRAPH, 12)
    logits = {width: golden.run(GRAPH, x, width).logits for width in GRAPH.widths}
    low, _, top = sorted(GRAPH.widths)
    typical = int(np.median(margin(logits[low])))
    policy = Cascade(((low, typical), (top, 0)))
    accelerator = Accelerator(DeviceModel(GRAPH, IMAGE))
    accelerator.load(IMAGE)
    runner = PolicyRunner(accelerator, policy)
    results = [runner.run(codes) for codes in x]
    expected = replay(policy, logits, dict.fromkeys(GRAPH.widths, 1234))
    assert [each.result.label for each in results] == expected.labels.tolist()
    assert [each.widths[-1] for each in results] == expected.widths.tolist()
    assert [each.cycles for each in results] == expected.cycles.tolist()
    assert {each.widths for each in results} == {(low,), (low, top)}


def test_the_runner_refuses_widths_that_are_not_there():
    accelerator = Accelerator(DeviceModel(GRAPH, IMAGE))
    with pytest.raises(DownshiftError, match=r"^No image is loaded; call load first$"):
        PolicyRunner(accelerator, Fixed(8))
    accelerator.load(IMAGE)
    with pytest.raises(DownshiftError, match=r"^The policy chooses width 2, the image runs at "):
        PolicyRunner(accelerator, Cascade(((2, 1), (8, 0))))


def test_the_command_finds_a_cascade(run, tmp_path, short_training):
    from downshift.sw.training.checkpoint import save_checkpoint

    save_checkpoint(tmp_path / "digits.pt", short_training)
    status, out, _ = run(
        "policy", "digits.pt", "--dataset", "digits", "--agreement", 0.98, "--json"
    )
    assert status == 0
    report = json.loads(out)
    found = read_policy(tmp_path / "policy.json")
    assert [(step["width"], step["margin"]) for step in report["steps"]] == list(found.steps)
    top = report["policies"]["always 8"]
    cascade = report["policies"]["cascade"]
    assert (top["agreement"], top["of_highest"]) == (1, 1)
    assert cascade["of_highest"] < 1 and cascade["agreement"] > 0.9
    count = report["images"]["test"]
    assert sum(round(share * count) for share in cascade["shares"].values()) == count
    status, out, _ = run("policy", "digits.pt", "--dataset", "digits")
    assert status == 0 and "always 8" in out and out.splitlines()[-1] == "policy.json"


def test_the_command_keeps_to_a_budget(run, tmp_path, short_training):
    from downshift.sw.training.checkpoint import save_checkpoint

    save_checkpoint(tmp_path / "digits.pt", short_training)
    # Of bricks, whose frames take the fewer cycles, the lower the width.
    (tmp_path / "bricks.json").write_text('{"style": "brick"}')
    arguments = ("policy", "digits.pt", "--dataset", "digits", "--config", "bricks.json")
    status, out, _ = run(*arguments, "--json")
    means = {name: each["mean_cycles"] for name, each in json.loads(out)["policies"].items()}
    allowed = (means["always 8"] + means["always 2"]) / 2
    arguments += ("--budget", allowed, "--window", 5)
    status, out, _ = run(*arguments, "--json")
    assert status == 0
    report = json.loads(out)
    assert report["images"]["test"] % 5 == 0, "frames beyond the last whole window may take more"
    budget = report["policies"]["budget"]
    assert means["always 2"] < budget["mean_cycles"] <= allowed
    found = read_policy(tmp_path / "policy.json")
    assert (found.mean, found.window) == (allowed, 5)
    status, out, _ = run(*arguments)
    assert status == 0 and "budget" in out and "Cascade" not in out


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--dataset", "digits", "--budget", "9"], 1, "A budget of 9 cycles a frame is below"),
        (["--dataset", "digits", "--budget", "nan"], 2, "must be above 0 and finite, not 'nan'"),
        (["--dataset", "digits", "--window", "9"], 1, "--window belongs to --budget"),
        (["--dataset", "digits", "--budget", "9", "--agreement", "1"], 1, "give --agreement or "),
        (["--dataset", "none.npz"], 1, "none.npz"),
        (["--dataset", "digits", "--agreement", "2"], 2, "'--agreement'"),
        (["--dataset", "other.npz"], 1, "digits.pt takes images of shape (8, 8, 1), other.npz has"),
        (["--dataset", "digits", "--board", "nope"], 1, "There is no board 'nope'"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    run, tmp_path, short_training, arguments, status, sentence
):
    from downshift.sw.training.checkpoint import save_checkpoint

    save_checkpoint(tmp_path / "digits.pt", short_training)
    x, y = np.zeros((20, 4, 4), np.uint8), np.arange(20) % 2
    np.savez(tmp_path / "other.npz", train_x=x, train_y=y, test_x=x, test_y=y)
    found, _, err = run("policy", "digits.pt", *arguments)
    assert found == status and sentence in err
    assert not (tmp_path / "policy.json").exists()
