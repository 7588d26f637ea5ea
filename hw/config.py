"""The size of one accelerator: `AcceleratorConfig`, and `DspConfig`."""

import json
import zlib
from dataclasses import asdict, dataclass

from downshift.hw.region import PARAMETER_BYTES, PROGRAM_BYTES, Region

__all__ = ["AcceleratorConfig", "DspConfig"]


MOST_ROWS = 128
"""With `all_layers`: what `first_row` of a descriptor counts."""


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """Everything that sizes the accelerator; two equal configurations generate equal hardware.

    An image compiled for one configuration is refused by an accelerator of another: `fingerprint`
    travels with both.
    """

    rows: int = 8
    """Output channels computed in parallel; a power of two, at least 4."""
    lanes: int = 4
    """Activation bytes consumed at once, each 1, 2 or 4 codes; a power of two, at least 4."""
    requantizers: int = 2
    """Requantizers working in parallel; a power of two that divides `rows`, at most `lanes`."""
    weight_depth: int = 2048
    """Words of `rows` int8 weights in the weight store."""
    activation_bytes: int = 8192
    """Bytes of activation memory."""
    parameter_depth: int = 512
    """Words of `requantizers` channel parameters (8 bytes a channel)."""
    partial_sum_depth: int = 512
    """Pixels whose partial sums are held at once."""
    program_depth: int = 512
    """32-bit words of program memory."""
    output_depth: int = 16
    """Pixels (of `rows` accumulators each) queued before the requantizers; 1 for no queue."""
    tile_memory: bool = False
    """Hold the weights in use in block memory, which must write single bits (iCE40), instead of
    flip-flops: much smaller, but a tile loads digit by digit."""
    pipelined: bool = True
    """Registers between blocks and behind memories, for clocks beyond about 30 MHz."""
    half_rate: bool = False
    """Requantizers of one hard multiplier instead of two, which take a channel every second cycle
    and, with their biases, sums of 31 bits; not with `pipelined`."""
    all_layers: bool = False
    """Run residual sums, depthwise convolutions and means as well, not only chains of convolutions
    and fully connected layers; only with `pipelined`."""

    def __post_init__(self):
        for name, value in asdict(self).items():
            if name in ("tile_memory", "pipelined", "half_rate", "all_layers", "pairs"):
                if not isinstance(value, bool):
                    raise TypeError(f"{name} must be True or False, not {value!r}")
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if not _is_power_of_two(value):
                raise ValueError(f"{name} must be a power of two, not {value!r}")
        if self.rows < 4:
            raise ValueError(f"rows must be at least 4, not {self.rows!r}")
        if self.lanes < 4:
            raise ValueError(f"lanes must be at least 4, not {self.lanes!r}")
        if self.requantizers > min(self.rows, self.lanes):
            raise ValueError(
                f"requantizers must be at most min(rows, lanes) = {min(self.rows, self.lanes)}, "
                f"not {self.requantizers!r}"
            )
        if self.half_rate and self.pipelined:
            raise ValueError("half_rate must be False with pipelined: it is for slow clocks")
        if self.all_layers and not self.pipelined:
            raise ValueError("all_layers must be False without pipelined")
        if self.all_layers and self.rows > MOST_ROWS:
            raise ValueError(f"rows must be at most {MOST_ROWS} with all_layers, not {self.rows!r}")
        for name, least, most in (
            ("weight_depth", 2, 1 << 20),
            ("activation_bytes", 4 * self.lanes, 1 << 22),
            ("parameter_depth", 2, 1 << 16),
            ("partial_sum_depth", 2, 1 << 16),
            ("program_depth", 64, 1 << 16),
            ("output_depth", 1, 1 << 12),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} must be in {least}..{most}, not {value!r}")

    @property
    def fingerprint(self) -> int:
        """CRC-32 of the canonical JSON form.

        Without `half_rate` or `all_layers` where it is False: before there was a choice, all were.
        """
        described = asdict(self)
        for name in ("half_rate", "all_layers"):
            if not described[name]:
                del described[name]
        return zlib.crc32(json.dumps(described, sort_keys=True).encode())

    @property
    def regions(self) -> dict[Region, tuple[int, int]]:
        """Bytes of a word, and words, of what the link can write to."""
        return {
            Region.ACTIVATIONS: (1, self.activation_bytes),
            Region.PROGRAM: (PROGRAM_BYTES, self.program_depth),
            Region.WEIGHTS: (self.rows, self.weight_depth),
            Region.PARAMETERS: (self.requantizers * PARAMETER_BYTES, self.parameter_depth),
        }

    @property
    def multiplier_width(self) -> int:
        """Bits of the multipliers that rescale sums."""
        return 16

    @property
    def groups(self) -> int:
        """Beats in which the requantizers work through `rows` channels."""
        return self.rows // self.requantizers

    @property
    def group_cycles(self) -> int:
        """Cycles of a beat."""
        return 1 + self.half_rate


@dataclass(frozen=True, kw_only=True)
class DspConfig(AcceleratorConfig):
    """As `AcceleratorConfig`, but with an array of hard multipliers: a `DspArray`."""

    pairs: bool = True
    """Multiply two codes of at most 4 bits at once, where multipliers have 18 bits."""

    def __post_init__(self):
        super().__post_init__()
        if self.lanes > 32:
            raise ValueError(f"lanes must be at most 32 with hard multipliers, not {self.lanes!r}")
        if self.tile_memory:
            raise ValueError("tile_memory must be False: hard multipliers have a tile of their own")
