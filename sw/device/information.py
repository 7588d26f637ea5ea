"""What an accelerator says of itself: `Information`."""

from dataclasses import dataclass

from downshift.hw.protocol import ALL_FEATURES, Feature

__all__ = ["Information"]

ALL_LOADED = 0b1110
"""Sections of an image."""


@dataclass(frozen=True, kw_only=True)
class Information:
    """What an accelerator says of itself."""

    protocol_version: int
    image_format: int
    image_loaded: bool
    features: Feature
    """What it knows besides."""
    fingerprint: int

    @classmethod
    def from_reply(cls, reply: bytes) -> "Information":
        """Read what INFO replies."""
        return cls(
            protocol_version=reply[0],
            image_format=reply[1],
            image_loaded=reply[2] & 0xF == ALL_LOADED,
            features=Feature(reply[3] & ALL_FEATURES),
            fingerprint=int.from_bytes(reply[4:8], "little"),
        )
