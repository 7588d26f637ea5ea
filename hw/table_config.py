"""The size of one accelerator of the table style: `TableConfig`."""

import json
import zlib
from dataclasses import asdict, dataclass

from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.parameter_loader import parameter_bytes
from downshift.hw.region import PROGRAM_BYTES, Region

__all__ = ["ACC_WIDTH", "COLUMNS", "ROWS", "TableConfig"]

ROWS = 16
"""Output channels computed in parallel."""
COLUMNS = 3
"""Segments whose weights lie in one word of the weight store."""
ACC_WIDTH = 28
"""Bits of an accumulator."""


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """Everything that sizes an accelerator whose dot products come from tables in LUT-RAM.

    As with `AcceleratorConfig`, two equal configurations generate equal hardware, and
    `fingerprint` travels with images and accelerators.
    """

    segments: int = 6
    """Words of 16 activation bytes consumed at once; a multiple of three, at most 24."""
    activation_depth: int = 4096
    """Words of 16 bytes of activation memory; a power of two."""
    weight_depth: int = 6144
    """Words of 48 int8 weights in the weight store."""
    parameter_depth: int = 4096
    """Output channels whose parameters are held, of all widths."""
    sum_depth: int = 512
    """Pixels whose partial sums are held at once."""
    program_depth: int = 4096
    """32-bit words of program memory."""
    multiplier_width: int = 16
    """Bits of the multipliers that rescale sums: 16, or 24 for what asks for them."""

    def __post_init__(self):
        for name, least, most in (
            ("segments", 3, 24),
            ("activation_depth", 64, 1 << 16),
            ("weight_depth", 2, 1 << 16),
            ("parameter_depth", ROWS, 1 << 16),
            ("sum_depth", 4, 1 << 16),
            ("program_depth", 64, 1 << 16),
            ("multiplier_width", 16, 24),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if not least <= value <= most:
                raise ValueError(f"{name} must be in {least}..{most}, not {value!r}")
        if self.segments % COLUMNS:
            raise ValueError(f"segments must be a multiple of {COLUMNS}, not {self.segments!r}")
        if self.multiplier_width not in (16, 24):
            raise ValueError(f"multiplier_width must be 16 or 24, not {self.multiplier_width!r}")
        if self.activation_depth & (self.activation_depth - 1):
            raise ValueError(
                f"activation_depth must be a power of two, not {self.activation_depth!r}"
            )

    @property
    def fingerprint(self) -> int:
        """CRC-32 of the canonical JSON form.

        Without `multiplier_width` where it is 16, as all had before there was a choice.
        """
        described = {"style": "table", **asdict(self)}
        if self.multiplier_width == 16:
            del described["multiplier_width"]
        return zlib.crc32(json.dumps(described, sort_keys=True).encode())

    @property
    def activation_bytes(self) -> int:
        """Bytes of activation memory."""
        return self.activation_depth * WORD_BYTES

    @property
    def regions(self) -> dict[Region, tuple[int, int]]:
        """Bytes of a word, and words, of what the link can write to."""
        return {
            Region.ACTIVATIONS: (WORD_BYTES, self.activation_depth),
            Region.PROGRAM: (PROGRAM_BYTES, self.program_depth),
            Region.WEIGHTS: (ROWS * COLUMNS, self.weight_depth),
            Region.PARAMETERS: (parameter_bytes(self.multiplier_width), self.parameter_depth),
        }

    @property
    def pipelined(self) -> bool:
        """Registers between blocks, as `AcceleratorConfig` has it."""
        return True
