"""What a board offers: `Board`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from downshift.hw.config import AcceleratorConfig
from downshift.hw.protocol import Feature

__all__ = ["Board", "Chip", "Pin", "Resources"]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Cells of an FPGA, available or used."""

    lut: int
    """Look-up tables of four inputs, carry cells included; on Xilinx 7 of six."""
    ff: int
    """Flip-flops."""
    bram: int
    """Block memories: 18 kbit on ECP5, Gowin and Xilinx 7, 4 kbit on iCE40."""
    dsp: int
    """Hard multipliers: 18 by 18 bits on ECP5 and Gowin, 25 by 18 on Xilinx 7, 16 by 16 on
    iCE40."""
    spram: int = 0
    """Single-port memories of 256 kbit, iCE40 UltraPlus only."""


@dataclass(frozen=True, kw_only=True)
class Chip:
    """An FPGA, in any of its packages and speed grades."""

    family: Literal["ecp5", "gowin", "ice40", "xilinx7"]
    name: str
    """As the tools of its family call it."""
    options: tuple[str, ...] = ()
    """Options of nextpnr that select it."""
    resources: Resources
    """What it has, as place and route counts it."""
    gate_from_global: bool = True
    """Place and route finds a way from a global net to a clock gate."""


@dataclass(frozen=True)
class Pin:
    """A pin of the package and its electrical settings."""

    site: str
    """Ball or pin name, as the data sheet prints it."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Settings, as the tools of the family call them."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board: its FPGA, pins and clock, and the accelerator that suits it.

    To run a board at another clock, ``dataclasses.replace(board, clock_hz=...)``.
    """

    name: str
    """As the command line spells it."""
    title: str
    """For people."""
    chip: Chip
    """The FPGA."""
    part: str
    """The FPGA as its maker orders it, with package and speed grade."""
    package: tuple[str, ...] = ()
    """Options of nextpnr that select package and speed grade."""
    platform: str | None = None
    """Class of amaranth-boards that knows its pins, as ``module:class``."""
    clock: str | None = None
    """The resource of `platform` that is the oscillator."""
    oscillator_hz: int
    """Frequency of the oscillator."""
    pins: Mapping[str, Pin] = field(default_factory=dict)
    """Pins that are not those of `clock` and ``uart`` of `platform`: ``clk``, ``rx``, ``tx``, and
    those of `held_high`."""
    held_high: tuple[str, ...] = ()
    """Names of more outputs, always 1: what shares its wires with the serial port rests so."""
    clock_hz: int
    """Frequency of the accelerator, made by a PLL unless it is `oscillator_hz`."""
    baud: int = 1_000_000
    """Bits a second of the serial port."""
    config: AcceleratorConfig
    """The accelerator built unless another is asked for."""
    features: Feature = Feature.SCRUB | Feature.QUEUE
    """Commands that the accelerator knows besides; each takes a few hundred look-up tables."""
    program_command: str
    """Shell command that loads the bitstream ``{bitstream}``."""
    program_hint: str
    """Where that command comes from, and which cable it needs."""

    @property
    def family(self) -> str:
        """Family of the FPGA."""
        return self.chip.family

    @property
    def resources(self) -> Resources:
        """What the FPGA has."""
        return self.chip.resources

    @property
    def divisor(self) -> int:
        """Clock cycles of one serial bit."""
        return round(self.clock_hz / self.baud)

    @property
    def serial_hz(self) -> int:
        """Bits a second that the serial port really has, within 1 % of `baud`."""
        return round(self.clock_hz / self.divisor)
