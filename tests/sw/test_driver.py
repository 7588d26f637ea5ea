"""The driver against a model of the protocol on the other end of the link."""

from dataclasses import replace

import numpy as np
import pytest
from device_model import DeviceModel

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import (
    ERROR_SENTENCES,
    PROTOCOL_VERSION,
    Command,
    Feature,
    LinkError,
    decode_frame,
    encode_frame,
)
from downshift.sim import golden
from downshift.sim.random_networks import random_codes, random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.compile.image import Section
from downshift.sw.device.driver import Accelerator, AcceleratorError
from downshift.sw.device.frame_result import FrameCounters
from downshift.sw.device.link import ATTEMPTS, FIRST_ATTEMPTS, LEAST_BYTES, SilentError

CONFIG = AcceleratorConfig(weight_depth=4096, program_depth=2048, parameter_depth=1024)
GRAPH = random_network(np.random.default_rng(5))
IMAGE = compile_graph(GRAPH, CONFIG)


class Model(DeviceModel):
    def __init__(self, **options):
        super().__init__(GRAPH, IMAGE, **options)


def lost(reply):
    return b""


def damaged(reply):
    return reply[:3] + bytes([reply[3] ^ 1]) + reply[4:]


def refused(reply):
    return encode_frame(bytes([0, 0, LinkError.BAD_FRAME]))


def shortened(reply):
    tag, command, error, *body = decode_frame(reply.strip(b"\xc0"))
    return encode_frame(bytes([tag, command, error, *body[:-1]]))


def noisy(reply):
    return b"\x00noise" + reply


def test_images_load_and_frames_run():
    model = Model()
    accelerator = Accelerator(model)
    assert not accelerator.information().image_loaded
    steps = []
    accelerator.load(IMAGE, progress=lambda *step: steps.append(step))
    assert accelerator.information().image_loaded
    assert model.loaded == dict(IMAGE.sections())
    total = sum(map(len, model.loaded.values()))
    assert steps[-1] == (total, total)
    x = random_codes(np.random.default_rng(0), GRAPH, 2)
    for width in GRAPH.widths:
        for index in range(2):
            result = accelerator.run(x[index], width)
            expected = golden.run(GRAPH, x, width)
            assert np.array_equal(result.logits, expected.logits[index])
            assert result.label == expected.labels[index]
            assert result.counters == FrameCounters(
                cycles=1234, busy=5, tile_load=6, fetch=7, weight_words=8
            )
            assert (result.cycles, result.counters.requantize) == (1234, 1216)


@pytest.mark.parametrize("fault", [lost, damaged, refused])
def test_a_request_is_sent_again_after_a_fault(fault):
    model = Model(faults=dict.fromkeys(range(FIRST_ATTEMPTS - 1), fault))
    assert Accelerator(model).information().fingerprint == CONFIG.fingerprint
    assert model.commands() == [Command.INFO] * FIRST_ATTEMPTS


def test_noise_before_a_reply_costs_nothing():
    model = Model(faults={0: noisy})
    assert Accelerator(model).information().protocol_version == PROTOCOL_VERSION
    assert len(model.requests) == 1


def test_late_replies_are_not_taken_for_others():
    model = Model()
    accelerator = Accelerator(model)
    accelerator.information()
    late = encode_frame(bytes([1, Command.INFO, 0]) + b"\xee" * 8)
    model.faults[1] = lambda reply: late + reply
    assert accelerator.information().fingerprint == CONFIG.fingerprint


@pytest.mark.parametrize("fault", [lost, damaged])
def test_silence_is_said(fault):
    model = Model(faults=dict.fromkeys(range(99), fault))
    with pytest.raises(DownshiftError) as caught:
        Accelerator(model).information()
    assert str(caught.value) == (
        "The accelerator does not answer INFO; check port, speed and bitstream"
    )
    assert len(model.requests) == FIRST_ATTEMPTS


@pytest.mark.parametrize("fault", [lost, damaged, refused])
def test_data_is_never_done_twice(fault):
    # 0: INFO, 1: LOAD, 2: SECTION, 3: the first DATA.
    model = Model(faults=dict.fromkeys((3, 4, 6), fault))
    accelerator = Accelerator(model)
    accelerator.load(IMAGE)
    assert model.loaded == dict(IMAGE.sections())
    assert model.commands()[3:6] == [Command.DATA] * 3
    assert model.done.count(Command.DATA) == model.commands().count(Command.DATA) - 3


@pytest.mark.parametrize("fault", [lost, damaged, refused])
def test_a_frame_is_never_run_twice(fault):
    """What it reads may lie where it wrote."""
    model = Model()
    accelerator = Accelerator(model)
    accelerator.load(IMAGE)
    x = random_codes(np.random.default_rng(0), GRAPH, 1)[0]
    for width in GRAPH.widths:
        expected = golden.run(GRAPH, x[None], width).logits[0]
        model.faults_of = {Command.RUN: [fault] * 3}
        model.done.clear()
        model.requests.clear()
        assert np.array_equal(accelerator.run(x, width).logits, expected)
        assert model.done.count(Command.RUN) == 1
        assert model.commands().count(Command.RUN) == 4


def test_requests_that_fail_are_done_again():
    """Though their tags look like those of requests that were done."""
    model = Model()
    accelerator = Accelerator(model)
    accelerator.load(IMAGE)
    model.faults = {len(model.requests): lambda reply: b""}
    model.on_run = lambda payload: LinkError.NO_WIDTH
    with pytest.raises(AcceleratorError, match="NO_WIDTH"):
        accelerator.link.request(Command.RUN, b"\x07")
    assert model.done[-2:] == [Command.RUN] * 2


def test_after_silence_the_accelerator_is_asked_first():
    """It may have done the request that nobody heard of, or not."""
    model = Model()
    accelerator = Accelerator(model)
    accelerator.load(IMAGE)
    at = len(model.requests)
    model.faults = dict.fromkeys(range(at, at + ATTEMPTS), lost)
    with pytest.raises(SilentError):
        accelerator.link.request(Command.RUN, bytes([GRAPH.widths[0]]))
    x = random_codes(np.random.default_rng(0), GRAPH, 1)[0]
    model.requests.clear()
    model.faults = {}
    model.done.clear()
    accelerator.link.request(Command.RUN, bytes([GRAPH.widths[0]]))
    assert model.done == model.commands() == [Command.INFO, Command.RUN]
    accelerator.run(x, GRAPH.widths[0])


def test_parts_become_short_on_a_bad_line_and_long_again():
    model = Model()
    accelerator = Accelerator(model)
    content = bytes(range(256)) * 3
    accelerator.information()
    model.faults_of = {Command.WRITE: [damaged] * 4 + [lost]}
    accelerator.link.write(0, content)
    assert bytes(model.memory[: len(content)]) == content
    sizes = [len(payload) - 3 for command, payload in model.requests if command == Command.WRITE]
    assert min(sizes) == LEAST_BYTES and sizes[-1] > LEAST_BYTES
    assert accelerator.link.read(0, len(content)) == content


def test_sections_begin_again_where_their_parts_are_too_long():
    """A line that never lets more than 100 bytes through."""

    class Short(Model):
        def write(self, content):
            if len(content) <= 100:
                super().write(content)

    model = Short()
    accelerator = Accelerator(model)
    accelerator.load(IMAGE)
    assert model.loaded == dict(IMAGE.sections())
    sizes = {len(payload) for command, payload in model.requests if command == Command.DATA}
    assert max(sizes) == 32


def test_an_accelerator_that_was_reset_is_loaded_again():
    model = Model()
    accelerator = Accelerator(model)
    accelerator.load(IMAGE)
    model.loaded, model.last_tag = {}, 0
    x = random_codes(np.random.default_rng(0), GRAPH, 1)
    width = GRAPH.widths[0]
    expected = golden.run(GRAPH, x, width).logits[0]
    assert np.array_equal(accelerator.run(x[0], width).logits, expected)
    assert model.loaded == dict(IMAGE.sections())


def test_what_flipped_in_memory_is_found_and_loaded_again():
    model = Model()
    accelerator = Accelerator(model)
    with pytest.raises(DownshiftError, match="No image is loaded"):
        accelerator.scrub()
    accelerator.load(IMAGE)
    assert accelerator.scrub() == ()
    weights = bytearray(model.loaded[Section.WEIGHTS])
    weights[5] ^= 4
    model.loaded[Section.WEIGHTS] = bytes(weights)
    assert accelerator.scrub() == (Section.WEIGHTS,)
    x = random_codes(np.random.default_rng(0), GRAPH, 1)
    width = GRAPH.widths[0]
    expected = golden.run(GRAPH, x, width).logits[0]
    assert np.array_equal(accelerator.run(x[0], width).logits, expected)
    assert accelerator.scrub() == ()


def test_accelerators_without_scrubbing_are_not_asked():
    model = Model()
    model.features = Feature.NONE
    accelerator = Accelerator(model)
    accelerator.load(IMAGE)
    with pytest.raises(DownshiftError, match="cannot compare its memories"):
        accelerator.scrub()
    assert Command.SCRUB not in model.commands()


def test_images_of_another_accelerator_are_refused_before_anything_is_lost():
    model = Model()
    accelerator = Accelerator(model)
    accelerator.load(IMAGE)
    other = replace(IMAGE, config=replace(CONFIG, rows=16))
    with pytest.raises(AcceleratorError, match=r"compiled for another configuration; export it"):
        accelerator.load(other)
    assert accelerator.image is IMAGE and model.loaded == dict(IMAGE.sections())


@pytest.mark.parametrize("error", [error for error in LinkError if error != LinkError.NONE])
def test_every_error_has_its_sentence(error):
    with pytest.raises(AcceleratorError) as caught:
        Accelerator(Model(error=error)).information()
    assert str(caught.value) == f"The accelerator refused ({error.name}): {ERROR_SENTENCES[error]}"
    assert caught.value.error == error


def test_errors_of_later_releases_are_said():
    with pytest.raises(DownshiftError, match=r"^The accelerator answers INFO with error 77, which"):
        Accelerator(Model(error=77)).information()


def test_replies_of_another_length_are_said():
    message = r"^The accelerator answers INFO with 7 bytes instead of 8; update its bitstream$"
    with pytest.raises(DownshiftError, match=message):
        Accelerator(Model(faults={0: shortened})).information()


def test_images_of_another_configuration_are_refused():
    accelerator = Accelerator(Model(config=replace(CONFIG, output_depth=32)))
    with pytest.raises(AcceleratorError, match="compiled for another configuration; export it"):
        accelerator.load(IMAGE)


def test_images_damaged_on_the_way_are_refused():
    model = Model()
    intact, model.on_data = model.on_data, lambda payload: intact(payload[:-1] + b"\x99")
    with pytest.raises(
        AcceleratorError, match=r"fails its checksum; load it again, or export it again$"
    ):
        Accelerator(model).load(IMAGE)


def test_other_protocols_are_refused():
    with pytest.raises(DownshiftError, match=r"^The accelerator speaks protocol 9, this release 3"):
        Accelerator(Model(protocol=9)).load(IMAGE)


def test_frames_that_cannot_run_are_refused_before_they_are_sent():
    accelerator = Accelerator(Model())
    x = np.zeros(GRAPH.input_shape, np.uint8)
    with pytest.raises(DownshiftError, match=r"^No image is loaded; call load first$"):
        accelerator.run(x, 8)
    accelerator.load(IMAGE)
    sent = accelerator.link.bytes_sent
    with pytest.raises(DownshiftError, match=r"^The image runs at widths 8, 7, 6, not 3$"):
        accelerator.run(x, 3)
    with pytest.raises(DownshiftError, match=r"^Input must be uint8 of shape "):
        accelerator.run(x[..., None], 8)
    assert accelerator.link.bytes_sent == sent
