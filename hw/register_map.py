"""The register map of the accelerator as an IP core: the one description of it."""

from dataclasses import dataclass
from typing import Literal

from downshift.hw.protocol import IMAGE_FORMAT, Command

__all__ = ["IDENTITY", "MAP_BYTES", "MAP_VERSION", "REGISTERS", "Field", "Register", "register"]

IDENTITY = int.from_bytes(b"DSFT", "big")
MAP_VERSION = 1
"""Changes when what is here no longer means the same."""
MAP_BYTES = 128
"""Of address space."""

Access = Literal["read-only", "read-write", "write-only", "write-one-to-clear"]


@dataclass(frozen=True)
class Field:
    """Bits of a register."""

    name: str
    low: int
    """The lowest of its bits."""
    width: int
    description: str

    @property
    def mask(self) -> int:
        """Its bits, as a number."""
        return ((1 << self.width) - 1) << self.low


@dataclass(frozen=True)
class Register:
    """A word of 32 bits."""

    name: str
    offset: int
    """In bytes."""
    access: Access
    description: str
    fields: tuple[Field, ...]
    reset: int = 0
    """Value after a reset, of what can be written."""

    @property
    def mask(self) -> int:
        """Bits that mean anything."""
        return sum(field.mask for field in self.fields)


def _whole(name, offset, access, description, *, width=32, reset=0):
    """A register of one field, in its lowest bits."""
    return Register(
        name, offset, access, description, (Field("VALUE", 0, width, description),), reset
    )


_COMMANDS = ", ".join(f"{command.value} {command.name}" for command in Command)

REGISTERS = (
    _whole("ID", 0x00, "read-only", "0x44534654, the letters DSFT."),
    Register(
        "VERSION", 0x04, "read-only", "What the core understands.",
        (
            Field("MAP", 0, 8, "Version of this register map."),
            Field("IMAGE_FORMAT", 8, 8, "Version of the images that it loads."),
            Field("FEATURES", 16, 8, "It knows SCRUB, bit 0; CASCADE, bit 1."),
        ),
    ),
    _whole("FINGERPRINT", 0x08, "read-only", "Of its configuration; an image must have the same."),
    Register(
        "COMMAND", 0x0C, "write-only",
        "Starts a command. While one is being done, a write is refused (SLVERR).",
        (Field("CODE", 0, 8, f"{_COMMANDS}; as in the link protocol."),),
    ),
    Register(
        "STATUS", 0x10, "read-only", "What became of the last command.",
        (
            Field("BUSY", 0, 1, "It is being done: it waits for bytes, or has some to give."),
            Field("ERROR", 8, 8, "How it ended: an error of the link protocol; 0 if none."),
            Field("LOADED", 16, 4, "Sections that are loaded: bits 1 program, 2 weights, "
                  "3 parameters."),
        ),
    ),
    _whole("ADDRESS", 0x14, "read-write", "Byte of activation memory, for WRITE, READ and CASCADE.",
           width=24),
    _whole("LENGTH", 0x18, "read-write",
           "Bytes, for READ (65,535 at most), CHECK and SCRUB (those of the section); "
           "logits, for CASCADE (255 at most).", width=24),
    _whole("WIDTH", 0x1C, "read-write", "Width of the frame in bits, for RUN.", width=8, reset=8),
    _whole("SECTION", 0x20, "read-write",
           "1 program, 2 weights or 3 parameters, for SECTION and SCRUB.", width=8),
    _whole("CHECKSUM", 0x24, "read-write", "CRC-32 of the section, for CHECK and SCRUB."),
    _whole("IMAGE_FORMAT", 0x28, "read-write", "Of the image, for LOAD.", width=8,
           reset=IMAGE_FORMAT),
    _whole("IMAGE_FINGERPRINT", 0x2C, "read-write", "Of the image, for LOAD."),
    Register(
        "INTERRUPT_ENABLE", 0x30, "read-write", "What raises the interrupt.",
        (Field("DONE", 0, 1, "A command has ended."),),
    ),
    Register(
        "INTERRUPT_STATUS", 0x34, "write-one-to-clear", "What has happened.",
        (Field("DONE", 0, 1, "A command has ended."),),
    ),
    Register(
        "RESET", 0x38, "write-only", "Starts the core anew.",
        (Field("NOW", 0, 1, "1: forget the command being done, and the image."),),
    ),
    Register(
        "CASCADE", 0x3C, "read-write", "For CASCADE, beside ADDRESS and LENGTH of the logits.",
        (
            Field("FIRST", 0, 4, "Width that is tried."),
            Field("SECOND", 4, 4, "Width for frames whose two best logits are too close."),
            Field("THRESHOLD", 8, 24, "Too close: less than this apart."),
        ),
    ),
    _whole("CYCLES", 0x40, "read-only", "Clock cycles of the last frame."),
    _whole("BUSY_CYCLES", 0x44, "read-only", "Those of them with multipliers at work."),
    _whole("TILE_LOAD_CYCLES", 0x48, "read-only",
           "Those in which they wait for weights, or tables are filled."),
    _whole("FETCH_CYCLES", 0x4C, "read-only",
           "Those in which they wait for the map that enters, or a pool reads it."),
    _whole("WEIGHT_WORDS", 0x50, "read-only", "Words read from the weight store."),
    Register(
        "CASCADED", 0x54, "read-only", "What became of CASCADE.",
        (
            Field("FIRST_CYCLES", 0, 24, "Cycles at the first width, if the frame ran twice."),
            Field("TWICE", 24, 1, "It did."),
        ),
    ),
)  # fmt: skip
"""In the order of their offsets."""


def register(name: str) -> Register:
    """Return the register of a name."""
    return next(entry for entry in REGISTERS if entry.name == name)
