"""Regions: the memories that the link can write to."""

from enum import IntEnum

__all__ = ["PARAMETER_BYTES", "PROGRAM_BYTES", "Region"]

PARAMETER_BYTES = 8
"""Bytes of one channel in the parameter store."""
PROGRAM_BYTES = 4
"""Bytes of one word of the program."""


class Region(IntEnum):
    """What the link can write to; all but the first are sections of an image."""

    ACTIVATIONS = 0
    PROGRAM = 1
    WEIGHTS = 2
    PARAMETERS = 3
