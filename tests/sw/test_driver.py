"""The driver against a model of the protocol on the other end of the link."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.packing import unpack_codes
from downshift.hw.protocol import (
    ERROR_SENTENCES,
    MAX_FRAME,
    PROTOCOL_VERSION,
    Command,
    LinkError,
    decode_frame,
    encode_frame,
)
from downshift.sim import golden
from downshift.sim.random_networks import random_codes, random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.device.driver import ATTEMPTS, Accelerator, AcceleratorError
from downshift.sw.device.frame_result import FrameCounters

CONFIG = AcceleratorConfig(weight_depth=4096, program_depth=2048, parameter_depth=1024)
GRAPH = random_network(np.random.default_rng(5))
IMAGE = compile_graph(GRAPH, CONFIG)


class Model:
    """A transport with an accelerator behind it that computes by golden.

    `faults` maps the index of a request to what happens to its reply: a function of its bytes.
    """

    def __init__(self, config=CONFIG, faults=None, error=None, protocol=PROTOCOL_VERSION):
        self.config, self.faults, self.error = config, faults or {}, error
        self.protocol = protocol
        self.memory = bytearray(config.activation_bytes)
        self.loaded, self.section, self.body = {}, 0, b""
        self.requests = []
        self.replies = []

    def write(self, content):
        frames = [frame for frame in content.split(b"\xc0") if frame]
        for frame in frames:
            request = decode_frame(frame)
            assert request is not None and len(request) + 4 <= MAX_FRAME
            tag, command, payload = request[0], Command(request[1]), request[2:]
            self.requests.append((command, payload))
            error, answer = (self.error, b"")
            if error is None:
                error, answer = LinkError.NONE, getattr(self, f"on_{command.name.lower()}")(payload)
            if isinstance(answer, LinkError):
                error, answer = answer, b""
            reply = encode_frame(bytes([tag, command, error]) + answer)
            fault = self.faults.get(len(self.requests) - 1)
            self.replies.append(fault(reply) if fault else reply)

    def read(self):
        return self.replies.pop(0) if self.replies else b""

    def commands(self):
        return [command for command, _ in self.requests]

    def on_info(self, _):
        loaded = sum(1 << section for section in self.loaded)
        return bytes([self.protocol, 1, loaded, 0]) + self.config.fingerprint.to_bytes(4, "little")

    def on_write(self, payload):
        address = int.from_bytes(payload[:3], "little")
        self.memory[address : address + len(payload) - 3] = payload[3:]
        return b""

    def on_read(self, payload):
        address, count = (int.from_bytes(part, "little") for part in (payload[:3], payload[3:]))
        return bytes(self.memory[address : address + count])

    def on_load(self, payload):
        self.loaded = {}
        if int.from_bytes(payload[1:], "little") != self.config.fingerprint:
            return LinkError.WRONG_CONFIGURATION
        return b""

    def on_section(self, payload):
        self.section, self.body = payload[0], b""
        return b""

    def on_data(self, payload):
        self.body += payload
        return b""

    def on_check(self, payload):
        crc, length = (int.from_bytes(part, "little") for part in (payload[:4], payload[4:]))
        if (crc, length) != (zlib.crc32(self.body), len(self.body)):
            return LinkError.BAD_CHECKSUM
        self.loaded[self.section] = self.body
        return b""

    def on_run(self, payload):
        width = payload[0]
        source, *others = IMAGE.maps[width]
        height, columns, channels = source.shape
        packed = np.frombuffer(self.memory[source.base : source.end], np.uint8)
        codes = unpack_codes(
            packed.reshape(height, columns, -1), channels=channels, width=source.width
        )
        logits = golden.run(GRAPH, codes[None], width).logits
        last = others[-1]
        pixels = np.zeros((last.shape[0] * last.shape[1], last.pixel_bytes), np.uint8)
        pixels[:, : 4 * last.shape[2]] = logits.view(np.uint8).reshape(len(pixels), -1)
        self.memory[last.base : last.end] = pixels.tobytes()
        return np.array([1234, 5, 6, 7, 8], "<u4").tobytes()


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
    model = Model(faults=dict.fromkeys(range(ATTEMPTS - 1), fault))
    assert Accelerator(model).information().fingerprint == CONFIG.fingerprint
    assert model.commands() == [Command.INFO] * ATTEMPTS


def test_noise_before_a_reply_costs_nothing():
    model = Model(faults={0: noisy})
    assert Accelerator(model).information().protocol_version == PROTOCOL_VERSION
    assert len(model.requests) == 1


def test_late_replies_are_not_taken_for_others():
    model = Model(faults={0: lost})
    accelerator = Accelerator(model)
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
    assert len(model.requests) == ATTEMPTS


@pytest.mark.parametrize("fault", [lost, damaged, refused])
def test_data_is_never_sent_twice(fault):
    # 0: INFO, 1: LOAD, 2: SECTION, 3: the first DATA.
    model = Model(faults={3: fault})
    accelerator = Accelerator(model)
    with pytest.raises(DownshiftError):
        accelerator.load(IMAGE)
    assert model.commands().count(Command.DATA) == 1
    assert accelerator.image is None


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
    with pytest.raises(AcceleratorError, match=r"a section fails its checksum; export it again$"):
        Accelerator(model).load(IMAGE)


def test_other_protocols_are_refused():
    with pytest.raises(DownshiftError, match=r"^The accelerator speaks protocol 9, this release 2"):
        Accelerator(Model(protocol=9)).load(IMAGE)


def test_frames_that_cannot_run_are_refused_before_they_are_sent():
    accelerator = Accelerator(Model())
    x = np.zeros(GRAPH.input_shape, np.uint8)
    with pytest.raises(DownshiftError, match=r"^No image is loaded; call load first$"):
        accelerator.run(x, 8)
    accelerator.load(IMAGE)
    sent = accelerator.bytes_sent
    with pytest.raises(DownshiftError, match=r"^The image runs at widths 8, 7, 6, not 3$"):
        accelerator.run(x, 3)
    with pytest.raises(DownshiftError, match=r"^Input must be uint8 of shape "):
        accelerator.run(x[..., None], 8)
    assert accelerator.bytes_sent == sent
