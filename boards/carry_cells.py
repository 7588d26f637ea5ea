"""Spare nextpnr what carry chains do not need: ``python -m downshift.boards.carry_cells NETLIST``.

nextpnr ends abnormally where a carry cell of the netlist does not have both of its carry ports, and
Yosys does not write a port that is connected to nothing. A look-up table's input that is tied high
costs nothing, while one that is tied low is routed to a zero, thousands of them across the device.
"""

import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["name_open_ports", "tie_high"]

CARRY_CELL = "CCU2C"
CARRY_PORTS = {"CIN": "input", "COUT": "output"}
ENTRIES = 16


def name_open_ports(cell: dict[str, Any]) -> None:
    """Connect the carry ports that a cell does not have to nothing in particular."""
    cell["port_directions"] = {**CARRY_PORTS, **cell["port_directions"]}
    nothing = {port: ["x"] for port in CARRY_PORTS}
    cell["connections"] = {**nothing, **cell["connections"]}


def tie_high(cell: dict[str, Any]) -> None:
    """Tie inputs of a cell's look-up tables high instead of low, with tables that do not mind."""
    for half in range(2):
        table = int(cell["parameters"][f"INIT{half}"], 2)
        for bit, letter in enumerate("ABCD"):
            port = f"{letter}{half}"
            if cell["connections"][port] == ["0"]:
                cell["connections"][port] = ["1"]
                # Whatever the input is, the table gives what it gave for 0.
                kept = [table >> (entry & ~(1 << bit)) & 1 for entry in range(ENTRIES)]
                table = sum(one << entry for entry, one in enumerate(kept))
        cell["parameters"][f"INIT{half}"] = f"{table:0{ENTRIES}b}"


def main(netlist: Path) -> None:
    """Change the carry cells of `netlist`, JSON as Yosys writes it."""
    design = json.loads(netlist.read_text())
    for module in design["modules"].values():
        for cell in module["cells"].values():
            if cell["type"] == CARRY_CELL:
                name_open_ports(cell)
                tie_high(cell)
    netlist.write_text(json.dumps(design))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
