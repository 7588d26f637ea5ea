"""The driver: an accelerator behind any link that carries bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import (
    END,
    ERROR_SENTENCES,
    IMAGE_FORMAT,
    PROTOCOL_VERSION,
    REPLY_BYTES,
    Command,
    LinkError,
    decode_frame,
    encode_frame,
)
from downshift.sw.compile.image import Image
from downshift.sw.device.frame_result import FrameCounters, FrameResult

__all__ = [
    "Accelerator",
    "AcceleratorError",
    "FrameCounters",
    "FrameResult",
    "Information",
    "Transport",
]

CHUNK = 256
"""Bytes of data in a request or reply."""
ATTEMPTS = 3


class Transport(Protocol):
    """A link that carries bytes both ways."""

    def write(self, content: bytes) -> None:
        """Send all of `content`."""
        ...

    def read(self) -> bytes:
        """Return what has arrived, waiting a while for at least a byte; empty if none comes."""
        ...


class AcceleratorError(DownshiftError):
    """The accelerator refused a request.

    Parameters
    ----------
    error : LinkError
        Its reason.
    """

    def __init__(self, error: LinkError):
        super().__init__(f"The accelerator refused ({error.name}): {ERROR_SENTENCES[error]}")
        self.error = error


@dataclass(frozen=True, kw_only=True)
class Information:
    """What an accelerator says of itself."""

    protocol_version: int
    image_format: int
    image_loaded: bool
    fingerprint: int


class Accelerator:
    """Load images and run frames; the same over a serial port and in a simulation.

    Parameters
    ----------
    transport : Transport
    """

    def __init__(self, transport: Transport):
        self.transport = transport
        self.image: Image | None = None
        self.bytes_sent = 0  # of requests, before framing
        self._tag = 0
        self._received = b""

    def information(self) -> Information:
        """Ask the accelerator what it is."""
        reply = self.request(Command.INFO)
        return Information(
            protocol_version=reply[0],
            image_format=reply[1],
            image_loaded=reply[2] & 0xF == 0b1110,
            fingerprint=int.from_bytes(reply[4:8], "little"),
        )

    def load(self, image: Image, progress: Callable[[int, int], None] | None = None) -> None:
        """Load an image, which the accelerator checks for itself.

        Parameters
        ----------
        image : Image
        progress : callable, optional
            Called with the bytes sent and those in all.

        Raises
        ------
        AcceleratorError
            If the image is for another configuration, or arrives damaged.
        DownshiftError
            If the accelerator does not answer, or speaks another protocol.
        """
        version = self.information().protocol_version
        if version != PROTOCOL_VERSION:
            raise DownshiftError(
                f"The accelerator speaks protocol {version}, this release {PROTOCOL_VERSION}; "
                "update its bitstream"
            )
        self.image = None
        self.request(
            Command.LOAD,
            bytes([IMAGE_FORMAT]) + image.config.fingerprint.to_bytes(4, "little"),
        )
        sections = image.sections()
        total = sum(map(len, sections.values()))
        sent = 0
        for section, body in sections.items():
            self.request(Command.SECTION, bytes([section]))
            for start in range(0, len(body), CHUNK):
                self.request(Command.DATA, body[start : start + CHUNK])
                sent += len(body[start : start + CHUNK])
                if progress:
                    progress(sent, total)
            self.request(
                Command.CHECK,
                image.checksum(section).to_bytes(4, "little") + len(body).to_bytes(3, "little"),
            )
        self.image = image

    def run(self, codes: np.ndarray, width: int) -> FrameResult:
        """Run one frame.

        Parameters
        ----------
        codes : uint8 array, shape (height, width, channels)
            Input codes.
        width : int
            One of the image's widths; another than that of the frame before costs nothing.

        Returns
        -------
        FrameResult

        Raises
        ------
        DownshiftError
            If no image is loaded, the input does not fit it, or it does not run at `width`.
        """
        image = self._image()
        if width not in image.widths:
            have = ", ".join(map(str, image.widths))
            raise DownshiftError(f"The image runs at widths {have}, not {width!r}")
        self.write(image.maps[width][0].base, image.encode_input(codes, width))
        counters = FrameCounters.from_reply(self.request(Command.RUN, bytes([width])))
        logits = self.read_map(image.maps[width][-1].name, width).reshape(-1)
        return FrameResult(logits=logits, counters=counters)

    def read_map(self, name: str, width: int) -> np.ndarray:
        """Read the codes or logits that a layer gave in the last frame.

        Returns
        -------
        uint8 (codes) or int32 (logits) array, shape (height, width, channels)
        """
        image = self._image()
        entry = image.map(name, width)
        return entry.decode(self.read(entry.base, entry.size))

    def write(self, address: int, content: bytes) -> None:
        """Write to activation memory."""
        for start in range(0, len(content), CHUNK):
            place = (address + start).to_bytes(3, "little")
            self.request(Command.WRITE, place + content[start : start + CHUNK])

    def read(self, address: int, size: int) -> bytes:
        """Read from activation memory."""
        parts = []
        for start in range(0, size, CHUNK):
            count = min(CHUNK, size - start)
            place = (address + start).to_bytes(3, "little") + count.to_bytes(2, "little")
            parts.append(self.request(Command.READ, place))
        return b"".join(parts)

    def request(self, command: Command, payload: bytes = b"") -> bytes:
        """Send a request, and return the bytes of the reply.

        A request that was damaged on the link, or whose reply was, is sent again, unless doing it
        twice is not the same as doing it once.

        Raises
        ------
        AcceleratorError
            If the accelerator refuses.
        DownshiftError
            If it does not answer.
        """
        attempts = 1 if command == Command.DATA else ATTEMPTS
        for attempt in range(attempts):
            self._tag = (self._tag + 1) & 0xFF
            content = bytes([self._tag, command]) + payload
            self.transport.write(encode_frame(content))
            self.bytes_sent += len(content)
            reply = self._reply()
            if reply is None:
                continue
            if reply[2] not in set(LinkError):
                raise DownshiftError(
                    f"The accelerator answers {command.name} with error {reply[2]}, which this "
                    "release does not know; update it"
                )
            error = LinkError(reply[2])
            if error == LinkError.BAD_FRAME and attempt + 1 < attempts:
                continue
            if error != LinkError.NONE:
                raise AcceleratorError(error)
            body, due = reply[3:], REPLY_BYTES.get(command, 0)
            if command == Command.READ:
                due = int.from_bytes(payload[3:], "little")
            if len(body) != due:
                raise DownshiftError(
                    f"The accelerator answers {command.name} with {len(body)} bytes instead of "
                    f"{due}; update its bitstream"
                )
            return body
        raise DownshiftError(
            f"The accelerator does not answer {command.name}; check port, speed and bitstream"
        )

    def _image(self) -> Image:
        if self.image is None:
            raise DownshiftError("No image is loaded; call load first")
        return self.image

    def _reply(self) -> bytes | None:
        """The reply to the last request; None if none comes."""
        while True:
            before, end, after = self._received.partition(bytes([END]))
            if end:
                self._received = after
                content = decode_frame(before) if before else None
                # A reply to a damaged request has no tag to tell.
                if content and len(content) >= 3:
                    if content[0] == self._tag or content[2] == LinkError.BAD_FRAME:
                        return content
                continue
            arrived = self.transport.read()
            if not arrived:
                self._received = b""
                return None
            self._received += arrived
