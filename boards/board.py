"""What a board offers: `Board`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from downshift.hw.config import AcceleratorConfig

__all__ = ["Board", "Pin", "Resources"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Cells of an FPGA, available or used."""

    lut: int
    """Four-input look-up tables, carry cells included."""
    ff: int
    """Flip-flops."""
    bram: int
    """Block memories: 18 kbit on ECP5, 4 kbit on iCE40."""
    dsp: int
    """Hard multipliers: 18 by 18 bits on ECP5, 16 by 16 on iCE40."""
    spram: int = 0
    """Single-port memories of 256 kbit, iCE40 UltraPlus only."""


@dataclass(frozen=True)
class Pin:
    """A pin of the package and its electrical settings."""

    site: str
    """Ball or pin name, as the data sheet prints it."""
    attributes: tuple[str, ...] = ()
    """Settings as the constraint file of the family spells them."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board: its FPGA, pins and clock, and the accelerator that suits it.

    To run a board at another clock, ``dataclasses.replace(board, clock_hz=...)``.
    """

    name: str
    """As the command line spells it."""
    title: str
    """For people."""
    family: Literal["ecp5", "ice40"]
    device: str
    """Part, as its maker orders it."""
    place_options: tuple[str, ...]
    """Options of nextpnr that select the part."""
    oscillator_hz: int
    """Frequency at the pin ``clk``."""
    clock_hz: int
    """Frequency of the accelerator, made by a PLL unless it is `oscillator_hz`."""
    baud: int
    """Bits a second of the serial port."""
    config: AcceleratorConfig
    """The accelerator built unless another is asked for."""
    resources: Resources
    """What the FPGA has."""
    pins: Mapping[str, Pin]
    """By port of the top module: ``clk``, ``rx``, ``tx``."""
    program_command: str
    """Shell command that loads the bitstream ``{bitstream}``."""
    program_hint: str
    """Where that command comes from, and which cable it needs."""

    @property
    def divisor(self) -> int:
        """Clock cycles of one serial bit."""
        return round(self.clock_hz / self.baud)
