import json

from downshift.boards.open_ports import name_open_ports


def cell(kind, **connections):
    return {
        "type": kind,
        "port_directions": dict.fromkeys(connections, "input"),
        "connections": connections,
    }


def test_only_carries_that_are_open_change(tmp_path):
    netlist = tmp_path / "top.json"
    cells = {"first": cell("CCU2C", A0=[3]), "next": cell("CCU2C", CIN=[4]), "other": cell("LUT4")}
    netlist.write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    name_open_ports(netlist)
    found = json.loads(netlist.read_text())["modules"]["top"]["cells"]
    assert found["first"]["connections"] == {"CIN": ["x"], "COUT": ["x"], "A0": [3]}
    assert found["first"]["port_directions"] == {"CIN": "input", "COUT": "output", "A0": "input"}
    assert found["next"]["connections"] == {"CIN": [4], "COUT": ["x"]}
    assert found["other"] == cells["other"]
