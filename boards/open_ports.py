"""Name what carry chains leave open: ``python -m downshift.boards.open_ports NETLIST``.

nextpnr ends abnormally where a carry cell of the netlist does not have both of its carry ports, and
Yosys does not write a port that is connected to nothing.
"""

import json
import sys
from pathlib import Path

__all__ = ["name_open_ports"]

CARRY_CELL = "CCU2C"
CARRY_PORTS = {"CIN": "input", "COUT": "output"}


def name_open_ports(netlist: Path) -> None:
    """Connect the carry ports that cells of `netlist` do not have to nothing in particular.

    Parameters
    ----------
    netlist : Path
        JSON as Yosys writes it; overwritten.
    """
    design = json.loads(netlist.read_text())
    for module in design["modules"].values():
        for cell in module["cells"].values():
            if cell["type"] == CARRY_CELL:
                cell["port_directions"] = {**CARRY_PORTS, **cell["port_directions"]}
                nothing = {port: ["x"] for port in CARRY_PORTS}
                cell["connections"] = {**nothing, **cell["connections"]}
    netlist.write_text(json.dumps(design))


if __name__ == "__main__":
    name_open_ports(Path(sys.argv[1]))
