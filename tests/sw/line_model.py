"""An accelerator with a queue behind a line that damages bytes, both in time: a byte is a tick."""

import zlib
from collections import deque

import numpy as np
from device_model import DeviceModel

from downshift.hw.protocol import (
    CRC_BYTES,
    END,
    ESC,
    ESC_END,
    ESC_ESC,
    MAX_FRAME,
    ONCE,
    QUEUE_BYTES,
    QUEUE_FRAMES,
    Command,
    Feature,
    LinkError,
    encode_frame,
)
from downshift.sim import golden
from downshift.sim.link_noise import damage

QUICK = 3
"""Ticks of a request that is no frame."""


class LineModel(DeviceModel):
    """A transport; `noisy` begins the noise.

    `x` are all inputs that frames have; `ticks` a frame takes, `timeout` and `quiet` are the host's
    patience, `rate` that of damaged bytes, `resets` that of resets, a tick.
    """

    def __init__(self, graph, image, x, *, rng, ticks, timeout, quiet, rate, resets):
        super().__init__(graph, image)
        self.features = Feature.SCRUB | Feature.QUEUE
        self.rng, self.ticks, self.timeout, self.quiet = rng, ticks, timeout, quiet
        self.rate, self.resets, self.noisy = rate, resets, False
        self.now, self.last_run = 0, bytes(20)
        self.logits = {
            (width, bytes(image.encode_input(codes, width))): each
            for width in graph.widths
            for codes, each in zip(x, golden.run(graph, x, width).logits, strict=True)
        }
        self.arrived = bytearray()
        self._reset()

    def _reset(self):
        self.queue, self.used = deque(), 0
        self.gathered, self.escaped, self.too_long = bytearray(), False, False
        self.left, self.out = None, deque()
        self.loaded, self.section, self.last_tag, self.last_failed = {}, 0, 0, False

    # The transport.

    def write(self, content):
        for byte in self._through(content):
            self._take(byte)
            self._tick()

    def read(self):
        for _ in range(self.timeout):
            if self.arrived:
                break
            self._tick()
        arrived = bytes(self.arrived)
        self.arrived.clear()
        return arrived

    def drain(self):
        quiet = 0
        while quiet < self.quiet:
            self.arrived.clear()
            self._tick()
            quiet = 0 if self.arrived else quiet + 1

    def _through(self, content):
        return damage(content, rate=self.rate, rng=self.rng)[0] if self.noisy else content

    # The accelerator.

    def _take(self, byte):
        """A byte comes: SLIP, and what finds no room is lost."""
        if byte == END:
            self._end()
        elif byte == ESC and not self.escaped:
            self.escaped = True
            return
        else:
            if self.escaped:
                byte = {ESC_END: END, ESC_ESC: ESC}.get(byte, byte)
            if len(self.gathered) < QUEUE_BYTES - self.used:
                self.too_long |= len(self.gathered) == MAX_FRAME
                if not self.too_long:
                    self.gathered.append(byte)
        self.escaped = False

    def _end(self):
        body, self.gathered = bytes(self.gathered), bytearray()
        too_long, self.too_long = self.too_long, False
        if not body or len(self.queue) == QUEUE_FRAMES:
            return
        crc = int.from_bytes(body[-CRC_BYTES:], "little")
        if too_long:
            self.queue.append((body, LinkError.TOO_LONG))
        elif len(body) <= CRC_BYTES or zlib.crc32(body[:-CRC_BYTES]) != crc:
            self.queue.append((body, LinkError.BAD_FRAME))
        else:
            self.queue.append((body, LinkError.NONE))
            self.used += len(body)

    def _tick(self):
        self.now += 1
        if self.noisy and self.rng.random() < self.resets:
            self._reset()
        if self.out:
            self.arrived.append(self.out.popleft())
        elif self.left is None and self.queue:
            body, error = self.queue[0]
            self.left = self.ticks if not error and body[1] == Command.RUN else QUICK
        elif self.left:
            self.left -= 1
        elif self.left == 0:
            body, error = self.queue.popleft()
            self.used -= 0 if error else len(body)
            self.left = None
            reply = bytes([0, 0, error]) if error else self._done(body[:-CRC_BYTES])
            self.out.extend(self._through(encode_frame(reply)))

    def _done(self, request):
        tag, command, payload = request[0], request[1], request[2:]
        again = tag & 1 == self.last_tag and not self.last_failed
        if command not in set(Command) - {Command.CASCADE}:
            answer = LinkError.UNKNOWN_COMMAND
        elif command == Command.RUN and set(self.loaded) != {1, 2, 3}:
            answer = LinkError.NO_IMAGE
        elif again and command in ONCE:
            answer = self.last_run if command == Command.RUN else b""
        else:
            answer = getattr(self, f"on_{Command(command).name.lower()}")(payload)
            if command == Command.RUN:
                self.last_run = answer
        error = answer if isinstance(answer, LinkError) else LinkError.NONE
        self.last_tag, self.last_failed = tag & 1, error != LinkError.NONE
        return bytes([tag, command, error]) + (b"" if error else answer)

    def on_run(self, payload):
        """By what golden gave; inputs that are none of `x` give logits of nobody."""
        entering, *_, leaving = self.image.maps[payload[0]]
        content = bytes(self.memory[entering.base : entering.end])
        pixels = np.full((leaving.shape[0] * leaving.shape[1], leaving.pixel_bytes), 0x55, np.uint8)
        logits = self.logits.get((payload[0], content))
        if logits is not None:
            spelt = logits.astype("<i4").view(np.uint8).reshape(len(pixels), -1)
            pixels[:, : spelt.shape[1]] = spelt
        self.memory[leaving.base : leaving.end] = pixels.tobytes()
        return np.array([1234, 5, 6, 7, 8], "<u4").tobytes()
