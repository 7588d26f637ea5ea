"""Look-up tables that the rows of a table array take, for each product of two bits in a cycle.

ECP5 with its own cells, as on the board, and Xilinx 7 from the portable description, side by side:

    python benchmarks/array_cells.py [--rows 8] [--segments 6] [--json]

Counted after mapping by Yosys, before placing. A LUT-RAM counts with the look-up tables that hold
it: four for a TRELLIS_DPR16X4, besides what its write port keeps from others, and four for a
RAM32M. nextpnr adds a few to every carry chain when it packs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from downshift.boards.families.ecp5 import ECP5_LUTS
from downshift.boards.verilog import plain_verilog
from downshift.hw.ecp5 import Ecp5Fabric
from downshift.hw.fabric import Fabric
from downshift.hw.map_layout import WORD_BYTES
from downshift.hw.table_config import COLUMNS
from downshift.hw.table_part import TablePart

NAMES = ("flatten", "opt_clean -purge", "rename -hide w:* c:*", "rename -enumerate -pattern n%")
"""abc9 of Yosys 0.70 fails on names that two levels of the hierarchy have in common."""
SCRIPTS = {
    "ecp5": (
        Ecp5Fabric,
        ("synth_ecp5 -no-rw-check -top rows -run begin:map_luts", *ECP5_LUTS,
         "synth_ecp5 -no-rw-check -top rows -run map_cells:"),
        {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4, "PFUMX": 0, "L6MUX21": 0},
    ),
    "xilinx 7": (
        Fabric,
        ("hierarchy -top rows", "proc", *NAMES, "synth_xilinx -family xc7 -top rows -noiopad"),
        {**{f"LUT{inputs}": 1 for inputs in range(1, 7)}, "RAM32M": 4, "RAM32X1D": 2},
    ),
}  # fmt: skip
"""By family: fabric, Yosys commands, and look-up tables of each cell."""


def count(family: str, *, rows: int, segments: int, folder: Path) -> dict[str, int]:
    """Map the rows to cells of a family, and count them by type."""
    fabric, commands, _ = SCRIPTS[family]
    part = TablePart(rows=rows, segments=segments, columns=COLUMNS, fabric=fabric())
    (folder / "rows.v").write_text(plain_verilog(part, name="rows"))
    (folder / "rows.ys").write_text(
        "\n".join(
            ["read_verilog rows.v", *commands, "flatten", "tee -q -o cells.json stat -json", ""]
        )
    )
    run = [sys.executable, "-m", "downshift.boards.synthesize", "rows.ys"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"Yosys failed for {family}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return json.loads((folder / "cells.json").read_text())["design"]["num_cells_by_type"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=8, help="output channels")
    parser.add_argument("--segments", type=int, default=6, help="words of 16 activation bytes")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    arguments = parser.parse_args()
    products = arguments.rows * arguments.segments * WORD_BYTES * 8
    figures = {}
    for family, (_, _, weights) in SCRIPTS.items():
        with tempfile.TemporaryDirectory() as folder:
            cells = count(
                family, rows=arguments.rows, segments=arguments.segments, folder=Path(folder)
            )
        luts = sum(cells.get(kind, 0) * weight for kind, weight in weights.items())
        figures[family] = {"luts": luts, "products": products, "ratio": luts / products}
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{arguments.rows} rows of {arguments.segments} segments, {products:,} products a cycle")
    for family, figure in figures.items():
        print(f"{family:>10}: {figure['luts']:7,} LUTs, {figure['ratio']:.2f} a product")


if __name__ == "__main__":
    main()
