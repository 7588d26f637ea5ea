"""Frames ahead of each other, on accelerators that only pretend."""

from dataclasses import replace
from itertools import combinations, cycle, islice

import numpy as np
import pytest
from device_model import DeviceModel

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import (
    CRC_BYTES,
    QUEUE_BYTES,
    QUEUE_FRAMES,
    Command,
    Feature,
    LinkError,
    encode_frame,
)
from downshift.sim import golden
from downshift.sim.random_networks import random_case, random_codes, random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.device.cascade import MOST_THRESHOLD, can_cascade
from downshift.sw.device.driver import Accelerator, AcceleratorError
from downshift.sw.device.memory_requests import MOST_BYTES, write_request
from downshift.sw.policy.policies import Cascade, Fixed, margin
from downshift.sw.policy.runner import PolicyRunner

GRAPH = random_network(np.random.default_rng(5))
IMAGE = compile_graph(GRAPH, AcceleratorConfig())
WIDTH = GRAPH.widths[0]
SMALL = AcceleratorConfig(
    rows=4, requantizers=1, weight_depth=1024, activation_bytes=8192, parameter_depth=512
)
X = random_codes(np.random.default_rng(0), GRAPH, 12)
LOGITS = golden.run(GRAPH, X, WIDTH).logits


class QueueModel(DeviceModel):
    """With a queue; keeps the most that waited in it."""

    def __init__(self, graph=GRAPH, image=IMAGE):
        super().__init__(graph, image)
        self.features = Feature.SCRUB | Feature.QUEUE
        self.waiting = []
        self.most_bytes = self.most_frames = 0

    def write(self, content):
        super().write(content)
        _, payload = self.requests[-1]
        self.waiting.append(2 + len(payload) + CRC_BYTES)
        self.most_bytes = max(self.most_bytes, sum(self.waiting))
        self.most_frames = max(self.most_frames, len(self.waiting))

    def read(self):
        if self.waiting:
            self.waiting.pop(0)
        return super().read()

    def drain(self):
        self.waiting.clear()
        super().drain()


@pytest.fixture
def device():
    return QueueModel()


@pytest.fixture
def accelerator(device):
    accelerator = Accelerator(device)
    accelerator.load(IMAGE)
    device.done.clear()
    return accelerator


def logits_of(results):
    return np.array([each.logits for each in results])


def test_frames_go_ahead_of_each_other_within_the_queue(device, accelerator):
    assert np.array_equal(logits_of(accelerator.run_all(X, WIDTH)), LOGITS)
    assert device.done.count(Command.RUN) == len(X)
    # Three requests a frame: more than a frame's wait.
    assert 3 < device.most_frames <= QUEUE_FRAMES
    assert device.most_bytes <= QUEUE_BYTES


def test_the_results_come_as_soon_as_the_queue_is_full(device, accelerator):
    taken = []
    results = accelerator.run_all((taken.append(each) or each for each in X), WIDTH)
    assert np.array_equal(next(results).logits, LOGITS[0])
    assert 1 < len(taken) <= 1 + QUEUE_FRAMES // 3 + 1
    assert np.array_equal(logits_of(results), LOGITS[1:])


def test_groups_larger_than_the_queue_wait_for_room(device, accelerator):
    pipeline = accelerator.link.pipeline()
    groups = [[write_request(0, bytes([number]) * 250)] * 9 for number in range(4)]
    for group in groups:
        pipeline.send(group)
    assert [pipeline.receive() for _ in groups] == [[b""] * 9] * 4
    assert device.memory[:250] == bytes([3]) * 250
    assert QUEUE_BYTES - 260 < device.most_bytes <= QUEUE_BYTES


def test_nothing_is_sent_ahead_over_a_line_that_lost_something(device, accelerator):
    device.faults_of[Command.WRITE] = [FAULTS["reply lost"]]
    accelerator.link.write(0, bytes(10))
    device.most_frames = 0
    results = accelerator.run_all(X, WIDTH)
    assert np.array_equal(logits_of([next(results)]), LOGITS[:1])
    assert device.most_frames == 1
    # Until it has been good for a while.
    assert np.array_equal(logits_of(results), LOGITS[1:])
    assert device.most_frames > 3


@pytest.mark.parametrize("feature", [Feature.SCRUB, Feature.NONE])
def test_without_a_queue_frames_follow_each_other(device, accelerator, feature):
    device.features = feature
    assert np.array_equal(logits_of(accelerator.run_all(X, WIDTH)), LOGITS)
    assert device.most_frames == 1


FAULTS = {
    "reply lost": lambda reply: b"",
    "reply damaged": lambda reply: reply.replace(reply[4:5], bytes([reply[4] ^ 1])),
    "request damaged": lambda reply: encode_frame(bytes([0, 0, LinkError.BAD_FRAME])),
}


@pytest.mark.parametrize("command", [Command.WRITE, Command.RUN, Command.READ])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_lost_is_asked_for_again(device, accelerator, command, fault):
    device.faults_of[command] = [None, None, FAULTS[fault], None, None, FAULTS[fault]][::-1]
    assert np.array_equal(logits_of(accelerator.run_all(X, WIDTH)), LOGITS)
    assert not device.faults_of[command]


@pytest.mark.parametrize("kept", range(1, 40, 3))
def test_a_request_that_never_arrives_gives_no_wrong_answer(device, accelerator, kept):
    """Whichever it is: the input of a frame, its run, or what reads its logits."""
    whole = device.write
    left = [kept]

    def write(content):
        left[0] -= 1
        if left[0]:
            whole(content)

    device.write = write
    assert np.array_equal(logits_of(accelerator.run_all(X, WIDTH)), LOGITS)
    assert left[0] < 0


def test_a_reset_on_the_way_loads_the_image_again(device, accelerator):
    results = accelerator.run_all(X, WIDTH)
    first = next(results)
    device.loaded.clear()
    assert np.array_equal(logits_of([first, *results]), LOGITS)
    assert device.done.count(Command.LOAD) == 1


@pytest.mark.parametrize("lost", [1, 2])
def test_frames_whose_replies_are_all_lost_are_run_again(device, accelerator, lost):
    for command in (Command.WRITE, Command.RUN, Command.READ):
        device.faults_of[command] = [*[FAULTS["reply lost"]] * lost, None, None]
    assert np.array_equal(logits_of(accelerator.run_all(X, WIDTH)), LOGITS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_line_that_lost_something_has_no_pipeline(device, accelerator, fault):
    pipeline = accelerator.link.pipeline()
    device.faults_of[Command.WRITE] = [FAULTS[fault]]
    pipeline.send([write_request(0, b"x")])
    assert pipeline.receive() is None
    assert accelerator.link.pipeline() is None


def test_a_frame_between_the_results_does_not_take_all_frames(device, accelerator):
    taken = []
    results = accelerator.run_all(
        (taken.append(0) or codes for codes in islice(cycle(X), 500)), WIDTH
    )
    assert np.array_equal(next(results).logits, LOGITS[0])
    accelerator.run(X[0], WIDTH)
    before = len(taken)
    for number in range(1, 4):
        assert np.array_equal(next(results).logits, LOGITS[number])
        assert len(taken) < before + 2 * QUEUE_FRAMES
    results.close()


def test_arrays_may_be_used_again(device, accelerator):
    def camera():
        frame = np.empty_like(X[0])
        for codes in X:
            frame[:] = codes
            yield frame

    device.faults_of[Command.RUN] = [FAULTS["reply lost"], None, None]
    assert np.array_equal(logits_of(accelerator.run_all(camera(), WIDTH)), LOGITS)
    assert not device.faults_of[Command.RUN]


@pytest.mark.parametrize("feature", [Feature.QUEUE, Feature.NONE])
def test_another_image_ends_it(device, accelerator, feature):
    device.features = feature
    results = accelerator.run_all(X, WIDTH)
    assert np.array_equal(next(results).logits, LOGITS[0])
    accelerator.load(replace(IMAGE))
    with pytest.raises(DownshiftError, match=r"^Another image was loaded before all frames were"):
        list(results)


@pytest.mark.parametrize("feature", [Feature.QUEUE, Feature.NONE])
def test_whatever_frames_raise_comes_after_the_results(device, accelerator, feature):
    device.features = feature

    def camera():
        yield from X[:3]
        raise OSError("unplugged")

    taken = []
    with pytest.raises(OSError, match="unplugged"):
        taken.extend(accelerator.run_all(camera(), WIDTH))
    with pytest.raises(AttributeError):
        taken.extend(accelerator.run_all([*X[3:5], "no array"], WIDTH))
    assert np.array_equal(logits_of(taken), LOGITS[:5])
    accelerator.run_all(X, WIDTH).close()


def test_nothing_is_ahead_while_the_line_loses_replies(device, accelerator):
    ahead, count = [], [0]
    write, read = device.write, device.read

    def watched(content):
        write(content)
        ahead.append(len(device.waiting) > 1 and accelerator.link._most < MOST_BYTES)

    def lossy():
        count[0] += 1
        return read() if count[0] % 9 else read() and b""

    device.write, device.read = watched, lossy
    frames = np.concatenate([X] * 4)
    found = logits_of(accelerator.run_all(frames, WIDTH))
    assert np.array_equal(found, np.concatenate([LOGITS] * 4))
    assert len(ahead) > 3 * len(frames) and not any(ahead)


def test_a_late_reply_is_not_taken_for_that_of_another_command(device, accelerator):
    late = encode_frame(bytes([accelerator.link.tag + 1, Command.WRITE, 0]))
    device.replies.append(late)
    assert accelerator.information().fingerprint == IMAGE.config.fingerprint


def test_cascades_go_ahead_of_each_other():
    seen, apart = 0, 0
    for seed in range(1, 40):
        case = random_case(seed, SMALL)
        x = random_codes(np.random.default_rng(seed), case.graph, 8)
        for first, second in combinations(sorted(case.graph.widths), 2):
            if not can_cascade(case.image, first, second):
                continue
            logits = {w: golden.run(case.graph, x, w).logits for w in (first, second)}
            margins = [int(margin(each)) for each in logits[first]]
            threshold = min(int(np.median(margins)) + 1, MOST_THRESHOLD)
            device = QueueModel(case.graph, case.image)
            device.features |= Feature.CASCADE
            accelerator = Accelerator(device)
            accelerator.load(case.image)
            runner = PolicyRunner(accelerator, Cascade(((first, threshold), (second, 0))))
            assert runner.within
            device.faults_of[Command.CASCADE] = [FAULTS["reply lost"], *[None] * (seed % 4)]
            for number, found in enumerate(runner.run_all(x)):
                widths = (first, second) if margins[number] < threshold else (first,)
                assert found.widths == widths
                assert np.array_equal(found.result.logits, logits[widths[-1]][number].reshape(-1))
            leaving = {case.image.maps[width][-1].base for width in (first, second)}
            seen, apart = seen + 1, apart + (len(leaving) == 2)
    assert seen > 5 and apart > 1


def test_cascades_need_widths_of_the_image(accelerator):
    with pytest.raises(DownshiftError, match="not 5"):
        accelerator.cascade_all(X, 5, WIDTH, 0)


def test_what_cannot_be_run_ends_it_after_the_frames_before(device, accelerator):
    taken = []
    with pytest.raises(DownshiftError, match="shape"):
        taken.extend(accelerator.run_all([X[0], X[1], X[0][:1], X[2]], WIDTH))
    assert np.array_equal(logits_of(taken), LOGITS[:2])
    assert np.array_equal(accelerator.run(X[3], WIDTH).logits, LOGITS[3])


def test_errors_are_those_of_a_frame_alone(device, accelerator):
    with pytest.raises(DownshiftError, match="not 5"):
        accelerator.run_all(X, 5)
    device.loaded.clear()
    device.on_load = lambda _: device.on_check(bytes(7))
    with pytest.raises(AcceleratorError, match="damaged"):
        list(accelerator.run_all(X, WIDTH))


def test_results_that_nobody_takes_do_not_disturb(device, accelerator):
    results = accelerator.run_all(X, WIDTH)
    next(results)
    results.close()
    assert not device.replies
    assert np.array_equal(accelerator.run(X[3], WIDTH).logits, LOGITS[3])
    assert np.array_equal(logits_of(accelerator.run_all(X, WIDTH)), LOGITS)


def test_other_requests_between_the_results_do_not_disturb(device, accelerator):
    first, second = accelerator.run_all(X, WIDTH), accelerator.run_all(X[::-1], WIDTH)
    found = []
    for number in range(len(X)):
        assert np.array_equal(next(second).logits, LOGITS[-1 - number])
        found.append(next(first))
        if number % 3 == 0:
            assert np.array_equal(accelerator.run(X[5], WIDTH).logits, LOGITS[5])
            assert accelerator.scrub() == ()
    assert np.array_equal(logits_of(found), LOGITS)
    assert list(first) == list(second) == []
    assert device.most_frames <= QUEUE_FRAMES


def test_what_is_done_once_is_done_after_a_request_was_lost(device, accelerator):
    pipeline = accelerator.link.pipeline()
    whole, device.write = device.write, lambda content: None
    pipeline.send([write_request(0, b"x")])
    device.write = whole
    pipeline.close()
    device.done.clear()
    accelerator.link.request(Command.RUN, bytes([WIDTH]))
    assert Command.RUN in device.done


def test_a_fixed_policy_runs_ahead(device, accelerator):
    results = list(PolicyRunner(accelerator, Fixed(WIDTH)).run_all(X))
    assert np.array_equal(logits_of(each.result for each in results), LOGITS)
    assert {each.widths for each in results} == {(WIDTH,)}
    assert device.most_frames > 3
