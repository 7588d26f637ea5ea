"""An accelerator at the other end of the link, which computes by golden."""

import zlib

import numpy as np

from downshift.hw.packing import unpack_codes
from downshift.hw.protocol import (
    MAX_FRAME,
    ONCE,
    PROTOCOL_VERSION,
    Command,
    Feature,
    LinkError,
    decode_frame,
    encode_frame,
)
from downshift.sim import golden
from downshift.sw.policy.policies import margin


class DeviceModel:
    """A transport with an accelerator behind it that computes by golden.

    `faults` maps the index of a request to what happens to its reply: a function of its bytes.
    """

    def __init__(self, graph, image, *, config=None, faults=None, error=None, protocol=None):
        self.graph, self.image = graph, image
        self.config, self.faults, self.error = config or image.config, faults or {}, error
        self.protocol = protocol or PROTOCOL_VERSION
        self.features = Feature.SCRUB
        self.memory = bytearray(self.config.activation_bytes)
        self.loaded, self.section, self.body = {}, 0, b""
        self.last_tag, self.last_failed, self.done = 0, False, []
        self.faults_of = {}  # by command, instead of by index
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
                again = tag & 1 == self.last_tag and not self.last_failed
                if not (again and command in ONCE):
                    self.done.append(command)
                    self.answer = getattr(self, f"on_{command.name.lower()}")(payload)
                error, answer = LinkError.NONE, self.answer
            if isinstance(answer, LinkError):
                error, answer = answer, b""
            self.last_tag, self.last_failed = tag & 1, error != LinkError.NONE
            reply = encode_frame(bytes([tag, command, error]) + answer)
            fault = self.faults.get(len(self.requests) - 1)
            if self.faults_of.get(command):
                fault = self.faults_of[command].pop()
            self.replies.append(fault(reply) if fault else reply)

    def read(self):
        return self.replies.pop(0) if self.replies else b""

    def drain(self):
        self.replies.clear()

    def commands(self):
        return [command for command, _ in self.requests]

    def on_info(self, _):
        loaded = sum(1 << section for section in self.loaded)
        return bytes([self.protocol, 1, loaded, self.features]) + self.config.fingerprint.to_bytes(
            4, "little"
        )

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

    def on_scrub(self, payload):
        content = self.loaded.get(payload[0], b"")
        crc, length = (int.from_bytes(part, "little") for part in (payload[1:5], payload[5:]))
        if zlib.crc32(content[:length]) != crc:
            self.loaded.pop(payload[0], None)
            return LinkError.BAD_CHECKSUM
        return b""

    def on_cascade(self, payload):
        first, second = payload[0] & 15, payload[0] >> 4
        answer = self.on_run(bytes([first]))
        if isinstance(answer, LinkError):
            return answer
        last = self.image.maps[first][-1]
        assert int.from_bytes(payload[4:7], "little") == last.base
        logits = last.decode(bytes(self.memory[last.base : last.end])).reshape(-1)
        if margin(logits) < int.from_bytes(payload[1:4], "little"):
            return self.on_run(bytes([second])) + (1234).to_bytes(3, "little") + b"\1"
        return answer + bytes(4)

    def on_run(self, payload):
        if set(self.loaded) != {1, 2, 3}:
            return LinkError.NO_IMAGE
        width = payload[0]
        source, *others = self.image.maps[width]
        height, columns, channels = source.shape
        packed = np.frombuffer(self.memory[source.base : source.end], np.uint8)
        codes = unpack_codes(
            packed.reshape(height, columns, -1), channels=channels, width=source.width
        )
        logits = golden.run(self.graph, codes[None], width).logits
        last = others[-1]
        pixels = np.zeros((last.shape[0] * last.shape[1], last.pixel_bytes), np.uint8)
        pixels[:, : 4 * last.shape[2]] = logits.view(np.uint8).reshape(len(pixels), -1)
        self.memory[last.base : last.end] = pixels.tobytes()
        return np.array([1234, 5, 6, 7, 8], "<u4").tobytes()
