"""The netlist of cells that is placed and routed, to simulate and to look into."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downshift.boards.board import Board
from downshift.boards.cell_models import check_cell_models, with_cell_models
from downshift.boards.families import FAMILIES
from downshift.boards.families.family import TOP, Config, Step, is_table
from downshift.boards.flow import synthesis_script, synthesis_steps
from downshift.boards.tools import Progress, run_steps

__all__ = ["Net", "Netlist", "mapped_netlist"]

MODULE = "accelerator"
"""As `downshift.sim.runner.build_simulation` wants it."""
FLAT = f"""\
read_json {TOP}.json
setattr -mod -unset keep_hierarchy *
flatten
delete t:$scopeinfo
splitnets -ports
opt_clean -purge
rename -hide */w:* */c:*
rename -enumerate -pattern n%
rename {TOP} {MODULE}
write_verilog -noattr netlist.v
write_json netlist.json
"""
"""What place and route reads, flat as it makes it, with one short name for each net."""
NAMING = Step(
    title="Naming the nets of the netlist", tool="downshift.boards.synthesize",
    arguments=("netlist.ys",), log="netlist.log",
)


@dataclass(frozen=True, kw_only=True)
class Net:
    """A net of one bit."""

    driver: str | None
    """Type of the cell that drives it; None if it comes from outside."""
    ends: frozenset[str]
    """Types of the cells that it goes to."""


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """An accelerator as cells of an FPGA."""

    verilog: str
    """Module ``accelerator``, flat, with models of the cells."""
    nets: Mapping[str, Net]
    """By their names in the module: each net once."""
    cells: Mapping[str, int]
    """How many there are of each type."""


def mapped_netlist(
    board: Board, config: Config, folder: Path, progress: Progress = lambda line: None
) -> Netlist:
    """Synthesise an accelerator with the script of a board.

    Its UART has `downshift.sim.runner.DIVISOR` cycles a bit, so that it can be simulated. Apart
    from names, it is the netlist that is placed and routed.

    Parameters
    ----------
    board : Board
    config : AcceleratorConfig or TableConfig
    folder : Path
        For the files of the synthesis; must be there.
    progress : callable
        Called with a line before each step.

    Raises
    ------
    DownshiftError
        If the cells of the board's family cannot be simulated, or Yosys is missing or fails.
    """
    from downshift.boards.verilog import plain_verilog
    from downshift.hw.top import Top
    from downshift.sim.runner import DIVISOR

    check_cell_models(board.family)
    fabric = FAMILIES[board.family].fabric() if is_table(config) else None
    core = Top(config=config, divisor=DIVISOR, fabric=fabric)
    (folder / f"{TOP}.v").write_text(plain_verilog(core, name=TOP))
    (folder / "synthesis.ys").write_text(synthesis_script(board, config))
    (folder / "netlist.ys").write_text(FLAT)
    synthesis, *_ = synthesis_steps(board, config)
    run_steps(board, (synthesis, NAMING), folder, progress)
    module = json.loads((folder / "netlist.json").read_text())["modules"][MODULE]
    return Netlist(
        verilog=with_cell_models((folder / "netlist.v").read_text(), board.family),
        nets=_nets(module),
        cells=_counted(module),
    )


def _nets(module: dict[str, Any]) -> dict[str, Net]:
    """Nets of a module that Yosys wrote as JSON, which has a number for each."""
    drivers: dict[int, str | None] = {}
    ends: dict[int | str, set[str]] = {}

    def drive(bits: Sequence[int | str], cell: str | None) -> None:
        for bit in bits:
            if isinstance(bit, int):  # not a constant
                assert bit not in drivers, f"net {bit} has two drivers"
                drivers[bit] = cell

    for port in module["ports"].values():
        if port["direction"] == "input":
            drive(port["bits"], None)
    for cell in module["cells"].values():
        for name, bits in cell["connections"].items():
            if cell["port_directions"][name] == "output":
                drive(bits, cell["type"])
            else:
                for bit in bits:
                    ends.setdefault(bit, set()).add(cell["type"])
    names: dict[int, str] = {}
    for name, entry in module["netnames"].items():
        (bit,) = entry["bits"]
        if isinstance(bit, int):
            names.setdefault(bit, name)
    return {
        names[bit]: Net(driver=driver, ends=frozenset(ends.get(bit, ())))
        for bit, driver in drivers.items()
    }


def _counted(module: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for cell in module["cells"].values():
        counts[cell["type"]] = counts.get(cell["type"], 0) + 1
    return dict(sorted(counts.items()))
