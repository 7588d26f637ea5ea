"""The link protocol: frames, commands and errors, as the host and the gateware know them."""

import zlib
from enum import IntEnum, IntFlag

__all__ = [
    "ALL_FEATURES",
    "ARGUMENT_BYTES",
    "ERROR_SENTENCES",
    "IMAGE_FORMAT",
    "MAX_FRAME",
    "ONCE",
    "PROTOCOL_VERSION",
    "QUEUE_BYTES",
    "QUEUE_FRAMES",
    "REPLY_BYTES",
    "Command",
    "Feature",
    "LinkError",
    "commands_of",
    "decode_frame",
    "encode_frame",
]

IMAGE_FORMAT = 1
"""Version of the image that an accelerator loads."""
PROTOCOL_VERSION = 3
MAX_FRAME = 512
"""Bytes of the largest request: tag, command, payload, checksum."""
CRC_BYTES = 4
QUEUE_BYTES, QUEUE_FRAMES = 2047, 16
"""Bytes of requests, with their checksums, and requests, that wait where there is a queue; what
comes besides is lost."""


class Command(IntEnum):
    """What the host can ask for. Integers are little-endian."""

    INFO = 0
    """-> protocol version u8, image format version u8, sections loaded u8, features u8,
    fingerprint u32."""
    WRITE = 1
    """address u24, bytes: write to activation memory."""
    READ = 2
    """address u24, count u16 -> bytes of activation memory."""
    LOAD = 3
    """image format version u8, fingerprint u32: begin to load an image; none is loaded then."""
    SECTION = 4
    """section u8: begin to load a section (1 program, 2 weights, 3 parameters)."""
    DATA = 5
    """bytes: go on with the section."""
    CHECK = 6
    """CRC-32 u32, length u24: end the section, which counts as loaded if both agree."""
    RUN = 7
    """width u8: write the width register and run a frame -> u32 each: cycles; cycles busy, waiting
    for weights, and waiting for the map; words of weights."""
    SCRUB = 8
    """section u8, CRC-32 u32, length u24: compare the section as it lies in memory, which counts as
    not loaded if either disagrees."""
    CASCADE = 9
    """first width u4, second width u4, threshold u24, address u24, count u8: run a frame at the
    first width, and at the second if the two best of so many logits at the address are closer to
    each other than the threshold -> as RUN, of the last of them; cycles u24 of the first, if it
    was run twice; 1 u8 if it was."""


class Feature(IntFlag):
    """What an accelerator has or has not."""

    NONE = 0
    SCRUB = 1
    """The command."""
    CASCADE = 2
    """The command."""
    QUEUE = 4
    """Requests may be sent before others are answered: `QUEUE_FRAMES` and `QUEUE_BYTES` of them."""


ALL_FEATURES = Feature.SCRUB | Feature.CASCADE | Feature.QUEUE
FEATURE_OF = {Command.SCRUB: Feature.SCRUB, Command.CASCADE: Feature.CASCADE}


def commands_of(features: Feature) -> tuple[Command, ...]:
    """Return what an accelerator with some features knows.

    Examples
    --------
    >>> [command.name for command in commands_of(Feature.SCRUB)][-2:]
    ['RUN', 'SCRUB']
    """
    return tuple(
        command
        for command in Command
        if command not in FEATURE_OF or FEATURE_OF[command] in features
    )


ARGUMENT_BYTES = {
    Command.INFO: 0,
    Command.WRITE: 3,
    Command.READ: 5,
    Command.LOAD: 5,
    Command.SECTION: 1,
    Command.DATA: 0,
    Command.CHECK: 7,
    Command.RUN: 1,
    Command.SCRUB: 8,
    Command.CASCADE: 8,
}
"""Bytes of the fixed arguments."""

ONCE = {Command.DATA, Command.RUN, Command.CASCADE}
"""What the accelerator does not do again for a request that has the lowest bit of its tag in common
with the one before, unless that failed."""

REPLY_BYTES = {Command.INFO: 8, Command.RUN: 20, Command.CASCADE: 24}
"""Bytes that a reply carries; READ has as many as it asks for, the others none."""


class LinkError(IntEnum):
    """How a request ended."""

    NONE = 0
    BAD_FRAME = 1
    TOO_LONG = 2
    UNKNOWN_COMMAND = 3
    BAD_LENGTH = 4
    WRONG_CONFIGURATION = 5
    WRONG_FORMAT = 6
    BAD_CHECKSUM = 7
    NO_IMAGE = 8
    NO_WIDTH = 9
    BAD_ADDRESS = 10
    HUNG = 11


ERROR_SENTENCES = {
    LinkError.BAD_FRAME: "the request was damaged on the link; send it again",
    LinkError.TOO_LONG: f"the request is longer than {MAX_FRAME} bytes; split it",
    LinkError.UNKNOWN_COMMAND: "the accelerator does not know the command; update its bitstream",
    LinkError.BAD_LENGTH: "the request has too few or too many bytes for its command",
    LinkError.WRONG_CONFIGURATION: (
        "the image was compiled for another configuration; export it for this accelerator"
    ),
    LinkError.WRONG_FORMAT: "the image has another format version; export it again",
    LinkError.BAD_CHECKSUM: (
        "the image is damaged: a section fails its checksum; load it again, or export it again"
    ),
    LinkError.NO_IMAGE: "no complete image is loaded; load one first",
    LinkError.NO_WIDTH: "the loaded image does not run at this width; choose one it has",
    LinkError.BAD_ADDRESS: "the address is outside the memory",
    LinkError.HUNG: (
        "a frame did not end, perhaps because a bit of its program has flipped; reset the "
        "accelerator, or load its bitstream again"
    ),
}
"""What each error tells a person."""

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
"""SLIP, RFC 1055."""


def encode_frame(content: bytes) -> bytes:
    """Wrap a request or reply for the link: checksum, then SLIP between two END bytes.

    Examples
    --------
    >>> encode_frame(bytes([0xC0])).hex()
    'c0dbdc3d2d6649c0'
    """
    whole = content + zlib.crc32(content).to_bytes(CRC_BYTES, "little")
    escaped = whole.replace(bytes([ESC]), bytes([ESC, ESC_ESC]))
    return bytes([END]) + escaped.replace(bytes([END]), bytes([ESC, ESC_END])) + bytes([END])


def decode_frame(escaped: bytes) -> bytes | None:
    """Unwrap what stood between two END bytes; None if its checksum fails.

    Examples
    --------
    >>> decode_frame(encode_frame(b"hello")[1:-1])
    b'hello'
    >>> decode_frame(b"garbage") is None
    True
    """
    whole = escaped.replace(bytes([ESC, ESC_END]), bytes([END]))
    whole = whole.replace(bytes([ESC, ESC_ESC]), bytes([ESC]))
    content, crc = whole[:-CRC_BYTES], whole[-CRC_BYTES:]
    if len(crc) < CRC_BYTES or zlib.crc32(content) != int.from_bytes(crc, "little"):
        return None
    return content
