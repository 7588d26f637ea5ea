import itertools
import json

import numpy as np
import pytest

from downshift.boards import carry_cells
from downshift.boards.carry_cells import name_open_ports, tie_high

PINS = [f"{letter}{half}" for half in range(2) for letter in "ABCD"]


def cell(kind, **connections):
    return {
        "type": kind,
        "parameters": {"INIT0": f"{0x96AA:016b}", "INIT1": f"{0x000A:016b}"},
        "port_directions": dict.fromkeys(connections, "input"),
        "connections": {**{pin: [9] for pin in PINS}, **connections},
    }


def half_adder(found, half, pins):
    """Whether a half of a cell propagates its carry, and what carry it makes if it does not."""
    table = int(found["parameters"][f"INIT{half}"], 2)
    values = []
    for letter in "ABCD":
        (net,) = found["connections"][f"{letter}{half}"]
        values.append(int(net) if isinstance(net, str) else pins[letter])
    a, b, c, d = values
    return table >> (a + 2 * b + 4 * c + 8 * d) & 1, table >> (a + 2 * b) & 1


@pytest.mark.parametrize("seed", range(8))
def test_tied_high_it_does_the_same(seed):
    rng = np.random.default_rng(seed)
    nets = [["0"], ["1"], [5]]
    before = cell("CCU2C", **{pin: nets[rng.integers(3)] for pin in PINS})
    before["parameters"] = {f"INIT{k}": f"{rng.integers(1 << 16):016b}" for k in range(2)}
    after = json.loads(json.dumps(before))
    tie_high(after)
    assert ["0"] not in after["connections"].values()
    for half, bits in itertools.product(range(2), itertools.product(range(2), repeat=4)):
        pins = dict(zip("ABCD", bits, strict=True))
        assert half_adder(after, half, pins) == half_adder(before, half, pins)


def test_open_carries_are_named():
    first, later = cell("CCU2C"), cell("CCU2C", CIN=[4])
    name_open_ports(first)
    name_open_ports(later)
    assert (first["connections"]["CIN"], first["connections"]["COUT"]) == (["x"], ["x"])
    assert (first["port_directions"]["CIN"], first["port_directions"]["COUT"]) == (
        "input", "output",
    )  # fmt: skip
    assert (later["connections"]["CIN"], later["connections"]["COUT"]) == ([4], ["x"])


def test_only_carry_cells_change(tmp_path):
    netlist = tmp_path / "top.json"
    cells = {"first": cell("CCU2C", A0=["0"]), "other": cell("LUT4", A0=["0"])}
    netlist.write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    carry_cells.main(netlist)
    found = json.loads(netlist.read_text())["modules"]["top"]["cells"]
    assert found["first"]["connections"]["A0"] == ["1"]
    assert found["other"] == cells["other"]
