import json
import re

import pytest

from downshift.boards import floorplan
from downshift.boards.floorplan import ROWS, place_hard_blocks

ENGINE = "accelerator.core.processor.executor.engine."
BLOCKS = {
    "DP16KD": [
        *(
            f"{ENGINE}weights.ram.slice_{36 * s}.bank_{b}_{9 * k}.cell"
            for s in range(10) for b in range(2) for k in range(4)
        ),
        *(f"{ENGINE}core.sums$7.row_{r}.memory.slice_0.bank_0_0.cell" for r in range(ROWS)),
        *(
            f"{ENGINE}activations.slice_{32 * s}.bank_0_{4 * k}.cell"
            for s in range(4) for k in range(8)
        ),
        f"{ENGINE}program.ram.slice_0.bank_0_0.cell",
        "accelerator.core.requests.memory.0.0",
        "something_else",
    ],
    "MULT18X18D": [
        *(
            f"{ENGINE}core.lanes$3.lane_{r}.multiply_product_{k}"
            for r in range(ROWS) for k in range(3)
        ),
        *(
            f"{ENGINE}core.rescale_{r}.{name}"
            for r in range(ROWS) for name in ("shift", "multiply_high", "multiply_low")
        ),
        *(f"{ENGINE}core.residual_product_{r}" for r in range(ROWS)),
    ],
}  # fmt: skip


def netlist(blocks):
    cells = {name: {"type": kind} for kind, names in blocks.items() for name in names}
    return {"modules": {"top": {"cells": {**cells, "look_up": {"type": "LUT4"}}}}}


def column(site):
    return int(re.match(r"X(\d+)/", site)[1])


def test_every_block_has_a_site_of_its_own():
    placed = place_hard_blocks(netlist(BLOCKS))
    assert set(placed) == {name for names in BLOCKS.values() for name in names}
    assert len(set(placed.values())) == len(placed)
    for name in BLOCKS["DP16KD"]:
        assert re.fullmatch(r"X\d+/Y(22|46|70|82)/EBR[0-3]", placed[name])
    for name in BLOCKS["MULT18X18D"]:
        assert re.fullmatch(r"X\d+/Y(10|34|58)/MULT18_[0145]", placed[name])


def test_blocks_of_a_row_stand_together():
    placed = place_hard_blocks(netlist(BLOCKS))
    for row in range(ROWS):
        mine = re.compile(rf"(row|lane|rescale|residual_product)_{row}(\.|$)")
        own = [name for name in placed if mine.search(name)]
        assert len(own) == 8
        columns = [column(placed[name]) for name in own]
        assert max(columns) - min(columns) <= 24


def test_too_many_blocks_are_left_to_nextpnr():
    many = {**BLOCKS, "MULT18X18D": [f"multiplier_{k}" for k in range(157)]}
    assert set(place_hard_blocks(netlist(many))) == set(BLOCKS["DP16KD"])


def test_netlist_gains_sites_and_nothing_else(tmp_path):
    path = tmp_path / "top.json"
    design = netlist(BLOCKS)
    path.write_text(json.dumps(design))
    floorplan.main(path)
    written = json.loads(path.read_text())
    placed = place_hard_blocks(design)
    for name, cell in written["modules"]["top"]["cells"].items():
        assert cell.pop("attributes", {}) == ({"BEL": placed[name]} if name in placed else {})
    assert written == design


@pytest.mark.parametrize("blocks", [{}, {"DP16KD": []}])
def test_nothing_to_place(blocks):
    assert place_hard_blocks(netlist(blocks)) == {}
