"""What the cells of a netlist do, for simulation: `with_cell_models`."""

import re
from importlib.util import find_spec
from pathlib import Path

from downshift.hw.errors import DownshiftError

__all__ = ["with_cell_models"]

INITIAL_WORDS = r"\.INIT_RAM_\w\w\(\d+'[bh]([0x]+)\),?\s*"
"""Gowin's memories start with zeros here, as their models do, which have no such parameters."""
ECP5_SOFT = ("cells_ff", "cells_io", "common_sim", "ccu2c_sim")


def with_cell_models(netlist: str, family: str) -> str:
    """Put models of the cells before a netlist: Yosys' where it has some, ours of the others.

    Parameters
    ----------
    netlist : str
        Verilog.
    family : str
        Of the FPGA, as `downshift.boards.families.FAMILIES` names it.

    Returns
    -------
    str
        Verilog that simulates; Verilator traces the nets of the netlist, none inside of cells.

    Raises
    ------
    DownshiftError
        If the cells of the family have no models, or Yosys is missing.
    """
    check_cell_models(family)
    models, netlist = MODELS[family](netlist)
    return f"/*verilator tracing_off*/\n{models}\n/*verilator tracing_on*/\n{netlist}"


def check_cell_models(family: str) -> None:
    """Raise `DownshiftError` if netlists of a family cannot be simulated."""
    if family not in MODELS:
        raise DownshiftError(
            f"There are no models of the cells of {family} to simulate a netlist with; choose a "
            f"board of {', '.join(sorted(MODELS))}"
        )


def _ice40(netlist: str) -> tuple[str, str]:
    return _yosys("ice40/cells_sim.v"), netlist


def _ecp5(netlist: str) -> tuple[str, str]:
    soft = "".join(_yosys(f"ecp5/{name}.vh") for name in ECP5_SOFT)
    return _own("ecp5_cells.v") + re.sub("`include.*", "", soft), netlist


def _gowin(netlist: str) -> tuple[str, str]:
    assert netlist.count(".INIT_RAM_") == len(re.findall(INITIAL_WORDS, netlist))
    soft, hard = _yosys("gowin/cells_sim.v"), _own("gowin_cells.v")
    for name in re.findall(r"^module (\w+)", hard, re.MULTILINE):
        soft = re.sub(rf"^module {name} *\(.*?^endmodule.*?$", "", soft, flags=re.M | re.S)
    return hard + soft, re.sub(INITIAL_WORDS, "", netlist)


MODELS = {"ecp5": _ecp5, "gowin": _gowin, "ice40": _ice40}


def _yosys(name: str) -> str:
    """A file that comes with Yosys."""
    found = find_spec("pyosys")
    if found is None or found.origin is None:
        raise DownshiftError(
            "Models of cells are in pyosys, which is not installed: pip install 'downshift[fpga]'"
        )
    return (Path(found.origin).parent / "share" / name).read_text()


def _own(name: str) -> str:
    return Path(__file__).with_name(name).read_text()
