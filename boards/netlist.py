"""The netlist of cells that is placed and routed, to simulate and to look into."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downshift.boards.board import Board
from downshift.boards.cell_models import check_cell_models, with_cell_models
from downshift.boards.families import FAMILIES
from downshift.boards.families.family import TOP, Config, Step
from downshift.boards.flow import synthesis_script, synthesis_steps
from downshift.boards.tools import Progress, run_steps

__all__ = ["Net", "Netlist", "mapped_netlist"]

MODULE = "accelerator"
"""As `downshift.sim.runner.build_simulation` wants it."""
FLATTEN = """\
setattr -mod -unset keep_hierarchy *
flatten
splitnets -ports
opt_clean -purge
rename -hide */w:* */c:*
rename -enumerate -pattern n%
"""
"""As place and route does, and with one short name for each net."""
SCRIPT = f"""\
read_json {TOP}.json
{{flatten}}delete t:$scopeinfo
rename {TOP} {MODULE}
write_verilog -noattr netlist.v
write_json netlist.json
"""
LIBRARY = {"blackbox", "whitebox"}
"""Attributes of modules that are cells of the FPGA."""
NAMING = Step(
    title="Writing the netlist", tool="downshift.boards.synthesize",
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
    """Module ``accelerator``, with models of the cells."""
    nets: Mapping[str, Net]
    """By their names in the module, if it is flat: each net once."""
    cells: Mapping[str, int]
    """How many there are of each type."""


def mapped_netlist(
    board: Board,
    config: Config,
    folder: Path,
    progress: Progress = lambda line: None,
    *,
    flat: bool = True,
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
    flat : bool
        Dissolve all modules. Otherwise, modules that stand many times in large accelerators remain,
        which Verilator compiles once instead of many times, and nets are not told.

    Raises
    ------
    DownshiftError
        If the cells of the board's family cannot be simulated, or Yosys is missing or fails.
    """
    from downshift.boards.verilog import plain_verilog
    from downshift.hw.top import Top
    from downshift.sim.runner import DIVISOR

    check_cell_models(board.family)
    fabric = FAMILIES[board.family].fabric()
    core = Top(
        config=config, divisor=DIVISOR, fabric=fabric, features=board.features
    )
    (folder / f"{TOP}.v").write_text(plain_verilog(core, name=TOP))
    (folder / "synthesis.ys").write_text(synthesis_script(board, config if flat else None))
    (folder / "netlist.ys").write_text(SCRIPT.format(flatten=FLATTEN if flat else ""))
    synthesis, *_ = synthesis_steps(board, config)
    run_steps(board, (synthesis, NAMING), folder, progress)
    modules = json.loads((folder / "netlist.json").read_text())["modules"]
    return Netlist(
        verilog=with_cell_models((folder / "netlist.v").read_text(), board.family),
        nets=_nets(modules[MODULE]) if flat else {},
        cells=dict(sorted(_counted(modules, MODULE).items())),
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


def _counted(modules: dict[str, Any], name: str) -> Counter[str]:
    """Cells of a module and of those that it has parts of."""
    counts: Counter[str] = Counter()
    for cell in modules[name]["cells"].values():
        kind = cell["type"]
        if LIBRARY.isdisjoint(modules[kind]["attributes"]):
            counts += _counted(modules, kind)
        else:
            counts[kind] += 1
    return counts
