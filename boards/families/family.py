"""What the families of FPGAs differ in: `Family`."""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from downshift.boards.board import Board
from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig

if TYPE_CHECKING:
    from amaranth import Signal, Value

    from downshift.hw.fabric import Fabric

__all__ = ["TOP", "Config", "Family", "RoutedFamily", "Step", "is_table", "unreachable"]

TOP = "top"
"""Name of the top module, and of the files about it."""

KINDS = {"memories": {"bram", "spram"}, "multipliers": {"dsp"}, "registers": {"ff"}}
"""Resources that tell what a cell is."""

Config = AcceleratorConfig | TableConfig


def is_table(config: Config) -> bool:
    """Whether an accelerator is of the table style."""
    return isinstance(config, TableConfig)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One tool of the flow, run in the folder of the Verilog."""

    title: str
    """What it does, for a progress line."""
    tool: str
    """Name of its command, or of a Python module with ``-m`` before it."""
    arguments: tuple[str, ...]
    log: str
    """File that takes what it prints."""

    @property
    def command(self) -> str:
        """Shell command."""
        program = ["python3", "-m", self.tool] if "." in self.tool else [self.tool]
        return shlex.join([*program, *self.arguments]) + f" > {self.log} 2>&1"


class Family(ABC):
    """The tools of a family of FPGAs: what they are told, and what they answer."""

    name: ClassVar[str]
    """As boards name it."""
    cells: ClassVar[Mapping[str, Mapping[str, int]]]
    """By resource: cells as nextpnr counts them, and how much of it each takes."""
    registers: ClassVar[str | None] = None
    """How the flip-flops of the netlist are named, where nextpnr does not count them."""
    costs: ClassVar[Mapping[str, Mapping[str, int]]]
    """By cell of the netlist: resources that it takes."""
    gated: ClassVar[bool] = False
    """The clock stands still until it has settled, instead of a reset."""
    async_reset: ClassVar[bool] = False
    """The reset is asynchronous: a synchronous one would go through the enables of flip-flops."""
    lock: ClassVar[str] = "o_LOCK"
    """Output of the PLL that says that it has settled."""
    clock_buffer: ClassVar[str | None] = None
    """Cell behind the PLL that drives the clock, where place and route adds none."""
    variants: ClassVar[Sequence[tuple[type[AcceleratorConfig], Mapping[str, Any]]]] = ()
    """Styles that suit the family, and fields of theirs, whatever the size of the array."""
    most_luts: ClassVar[float] = 1.0
    """The part of the look-up tables up to which designs can be routed."""

    @abstractmethod
    def dividers(self, oscillator_hz: int, clock_hz: int) -> tuple[int, ...]:
        """Find the dividers of a PLL; raises `DownshiftError` if none give exactly `clock_hz`."""

    @abstractmethod
    def pll(
        self, board: Board, found: tuple[int, ...], oscillator: "Signal", clock: "Value"
    ) -> dict[str, Any]:
        """Arguments of the instance of a PLL, but for `lock`."""

    def fabric(self) -> "Fabric":
        """The cells that arrays are made of."""
        from downshift.hw.fabric import Fabric

        return Fabric()

    @abstractmethod
    def constraints(self, board: Board) -> tuple[str, str]:
        """Name and text of the constraint file: pins and the frequency of ``clk``."""

    @abstractmethod
    def synthesis(self) -> tuple[str, ...]:
        """Yosys commands from Verilog that was read to a netlist of the family's cells."""

    def kind(self, cell: str) -> str:
        """Kind of a cell of the netlist: memories, multipliers, registers or logic.

        Logic is what look-up tables are made into, small memories too, and what carries.

        Examples
        --------
        >>> from downshift.boards.families import FAMILIES
        >>> [FAMILIES["ice40"].kind(cell) for cell in ("SB_MAC16", "SB_DFFESR", "SB_CARRY")]
        ['multipliers', 'registers', 'logic']
        """
        taken = self.costs.get(cell, {})
        for kind, resources in KINDS.items():
            if not resources.isdisjoint(taken):
                return kind
        named = self.registers is not None and cell.startswith(self.registers)
        return "registers" if named else "logic"

    def after_synthesis(self, board: Board, config: Config) -> tuple[Step, ...]:
        """Tools that change the netlist before it is placed."""
        return ()

    def project(self, board: Board) -> dict[str, str]:
        """Scripts for the maker's tools, by file name."""
        return {}


class RoutedFamily(Family):
    """One that nextpnr places and routes."""

    nextpnr: ClassVar[str]
    """Its command."""

    def placement(self, board: Board, config: Config) -> tuple[str, ...]:
        """Arguments for nextpnr about how to place.

        The table style takes the static placer: with an eighth less wire than by the default, which
        makes the difference between designs that route and designs that do not.
        """
        return ("--placer", "static", "--router", "router2") if is_table(config) else ()

    @abstractmethod
    def files(self, board: Board) -> tuple[str, ...]:
        """Arguments for nextpnr about constraints, and what it writes."""

    @abstractmethod
    def packing(self, board: Board) -> Step:
        """The tool that writes the bitstream, whose name is its last argument."""


def unreachable(oscillator_hz: int, clock_hz: int) -> DownshiftError:
    """Tell that no PLL of the family makes one frequency from the other."""
    return DownshiftError(
        f"The PLL cannot make {clock_hz / 1e6:g} MHz from {oscillator_hz / 1e6:g} MHz; "
        "choose another clock"
    )
