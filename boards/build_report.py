"""What place and route says about a build: `BuildReport`."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downshift.boards.board import Board, Resources
from downshift.boards.families import FAMILIES
from downshift.hw.errors import DownshiftError

__all__ = ["BuildReport", "check_fit", "read_mapped", "read_report"]

NOUNS = {
    "lut": ("LUTs", "use fewer rows or lanes"),
    "ff": ("flip-flops", "use fewer rows or lanes"),
    "bram": ("block RAMs", "use a smaller activation_bytes, weight_depth or parameter_depth"),
    "dsp": ("multipliers", "use fewer requantizers"),
    "spram": ("single-port RAMs", "use a smaller weight_depth"),
}
"""For each resource: its name in a sentence, and what to do when it runs out."""

UTILISATION = re.compile(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """A design that was placed and routed: its speed, and cells used of those available.

    Where only the maker's tools place and route, what Yosys maps it to.
    """

    board: str
    """Name of the board."""
    seed: int
    """Seed of place and route."""
    bitstream: Path | None
    """The file to load; None if none was packed."""
    fmax_mhz: float | None
    """Highest frequency of the accelerator's clock after routing; None if it was not routed."""
    clock_mhz: float
    """Frequency at which the board clocks it."""
    baud: int
    """Bits a second of the serial port."""
    lut: int
    lut_available: int
    ff: int
    ff_available: int
    bram: int
    bram_available: int
    dsp: int
    dsp_available: int
    spram: int
    spram_available: int

    @property
    def meets_clock(self) -> bool:
        """Whether the design is fast enough for the clock of the board."""
        return self.fmax_mhz is not None and self.fmax_mhz >= self.clock_mhz


def check_fit(board: Board, log: str) -> None:
    """Raise `DownshiftError` if the utilisation in nextpnr's `log` exceeds the device.

    The message names the resource that is exceeded most.
    """
    found = {cell: (int(used), int(most)) for cell, used, most in UTILISATION.findall(log)}
    exceeded = [
        (found[cell][0] / found[cell][1], resource, *found[cell])
        for resource, cells in FAMILIES[board.family].cells.items()
        for cell in cells
        if cell in found and found[cell][0] > found[cell][1]
    ]
    if exceeded:
        _check(board, *max(exceeded)[1:])


def read_report(
    board: Board, *, report: Path, synthesis: Path, seed: int, bitstream: Path | None = None
) -> BuildReport:
    """Read nextpnr's JSON report and the cell counts of Yosys.

    Parameters
    ----------
    board : Board
    report : Path
        Written by ``nextpnr --report``.
    synthesis : Path
        Written by ``stat -json``; flip-flops are counted there, since nextpnr packs them on iCE40.
    seed : int
    bitstream : Path, optional
        As it goes into the report.

    Raises
    ------
    DownshiftError
        If a file is missing or says something else.
    """
    family = FAMILIES[board.family]
    try:
        routed = json.loads(report.read_text())
        mapped = json.loads(synthesis.read_text())
        cells = mapped["design"]["num_cells_by_type"]
        used = {
            resource: sum(
                taken * int(routed["utilization"][cell]["used"]) for cell, taken in counted.items()
            )
            for resource, counted in family.cells.items()
        }
        if family.registers:
            named = (n for cell, n in cells.items() if cell.startswith(family.registers))
            used.setdefault("ff", sum(named))
        fmax = _fmax(routed)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownshiftError(
            f"{report.name} or {synthesis.name} does not hold the figures of a build: {error!r}"
        ) from error
    have = Resources(**{
        "ff": board.resources.ff,
        **{
            resource: int(routed["utilization"][next(iter(counted))]["available"])
            for resource, counted in family.cells.items()
        },
    })
    return BuildReport(
        board=board.name,
        seed=seed,
        bitstream=bitstream,
        fmax_mhz=round(fmax, 2),
        clock_mhz=board.clock_hz / 1e6,
        baud=board.serial_hz,
        lut=used["lut"], lut_available=have.lut,
        ff=used["ff"], ff_available=have.ff,
        bram=used["bram"], bram_available=have.bram,
        dsp=used["dsp"], dsp_available=have.dsp,
        spram=used.get("spram", 0), spram_available=have.spram,
    )


def read_mapped(board: Board, synthesis: Path) -> BuildReport:
    """Read the cell counts of Yosys, for a design that is not routed here.

    Raises
    ------
    DownshiftError
        If the file is missing or says something else, or the design does not fit.
    """
    family = FAMILIES[board.family]
    used = dict.fromkeys(NOUNS, 0)
    try:
        cells = json.loads(synthesis.read_text())["design"]["num_cells_by_type"]
        for cell, count in cells.items():
            if family.registers and cell.startswith(family.registers):
                used["ff"] += int(count)
            for resource, taken in family.costs.get(cell, {}).items():
                used[resource] += taken * int(count)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownshiftError(
            f"{synthesis.name} does not hold the figures of a synthesis: {error!r}"
        ) from error
    have = board.resources
    for resource, count in used.items():
        _check(board, resource, count, getattr(have, resource))
    available = {f"{resource}_available": getattr(have, resource) for resource in used}
    return BuildReport(
        board=board.name, seed=0, bitstream=None, fmax_mhz=None, clock_mhz=board.clock_hz / 1e6,
        baud=board.serial_hz, **used, **available,
    )


def _check(board: Board, resource: str, used: int, most: int) -> None:
    if used > most:
        noun, remedy = NOUNS[resource]
        raise DownshiftError(
            f"The accelerator needs {used:,} {noun}, {board.name} has {most:,}: "
            f"{used - most:,} too many; {remedy}"
        )


def _fmax(routed: dict[str, Any]) -> float:
    """MHz of the clock that misses or nears its constraint most."""
    clocks = routed["fmax"].values()
    if not clocks:
        raise ValueError("no clock")
    return min(clocks, key=lambda clock: clock["achieved"] / clock["constraint"])["achieved"]
