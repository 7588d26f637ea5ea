"""The floorplan: where block memories and multipliers of the table style stand on an ECP5.

nextpnr scatters hard blocks, of which there are few sites in few rows, over the whole device; what
is around them follows. Told where they stand, it finds a placement with a quarter less wire in a
third of the time. Run as ``python -m downshift.boards.floorplan NETLIST``.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scipy.optimize import linear_sum_assignment

from downshift.hw.table import row_order
from downshift.hw.table_config import COLUMNS, ROWS

__all__ = ["place_hard_blocks"]

GROUPS = (*range(4, 59, 9), *range(69, 115, 9))
"""Columns at which groups of four hard blocks begin on an LFE5U-85F; clocks are in the middle."""
WIDTH = 126
RAM_ROWS, RAM_OFFSETS = (22, 46, 70, 82), (0, 2, 4, 6)
MULTIPLIER_ROWS, MULTIPLIER_BELS = (10, 34, 58), {0: 0, 1: 1, 4: 4, 5: 5}
ROW_WEIGHT = 2
"""What a row of distance counts, in columns."""

ORDER = row_order(ROWS)


def _channel(row: float) -> float:
    """Column of an output channel: rows of the array stand side by side."""
    whole = min(int(row), ROWS - 1)
    return (ORDER.index(whole) + 0.5 + (row - whole - 0.5) * 0.75) * WIDTH / ROWS


Wish = Callable[..., tuple[float, float]]
LANE_ROWS = (34, 34, 10)
"""Rows of the multipliers of each column of a depthwise kernel."""
SLICE = 36
"""Bits of a slice of the weight store."""


def _slice(first: int) -> tuple[float, float]:
    """Slices of the weight store: three next to each other stand one above the other."""
    index = first // SLICE
    middle = (index // 3 * 3 + 1.5) * SLICE / (8 * COLUMNS)
    return min(middle / ROWS, 1) * WIDTH, RAM_ROWS[index % 3]


WISHES: tuple[tuple[str, Wish], ...] = (
    (r"weights\.ram\.slice_(\d+)\.", _slice),
    (r"sums(?:\$\d+)?\.row_(\d+)\.memory", lambda row: (_channel(row + 0.5), 46)),
    (r"activations\.", lambda: (WIDTH / 2, 58)),
    (r"(?:parameters|program|requests)\.", lambda: (WIDTH / 2, 82)),
    (
        r"lane_(\d+)\.multiply_product_(\d)",
        lambda row, column: (_channel(row + column / 3), LANE_ROWS[column]),
    ),
    (r"rescale_(\d+)\.shift", lambda row: (_channel(row + 0.5), 34)),
    (r"rescale_(\d+)\.multiply_", lambda row: (_channel(row + 0.5), 58)),
    (r"residual_product_(\d+)", lambda row: (_channel(row + 0.5), 58)),
)
"""By the path of a block in the accelerator: the column and row where it would stand best."""


def _ram_sites() -> Iterator[tuple[int, int, str]]:
    for y in RAM_ROWS:
        for group in GROUPS:
            for index, offset in enumerate(RAM_OFFSETS):
                yield group + offset, y, f"X{group + offset}/Y{y}/EBR{index}"


def _multiplier_sites() -> Iterator[tuple[int, int, str]]:
    for y in MULTIPLIER_ROWS:
        for group in GROUPS:
            for offset, bel in MULTIPLIER_BELS.items():
                yield group + offset, y, f"X{group + offset}/Y{y}/MULT18_{bel}"


SITES = {"DP16KD": _ram_sites, "MULT18X18D": _multiplier_sites}


def place_hard_blocks(netlist: Mapping[str, Any]) -> dict[str, str]:
    """Assign sites of an LFE5U-85F, so that blocks stand near where they would stand best.

    Parameters
    ----------
    netlist : mapping
        Flat, as Yosys writes it.

    Returns
    -------
    dict of str to str
        By name of the cell: its site, as nextpnr calls it. Empty for a kind of block that has more
        cells than sites: nextpnr then says so.
    """
    cells = netlist["modules"]["top"]["cells"]
    placed = {}
    for kind, sites_of in SITES.items():
        wishes = {
            name: _wish(name) for name, cell in sorted(cells.items()) if cell["type"] == kind
        }
        sites = list(sites_of())
        if len(wishes) > len(sites):
            continue
        distances = [
            [abs(x - column) + ROW_WEIGHT * abs(y - row) for x, y, _ in sites]
            for column, row in wishes.values()
        ]
        chosen = linear_sum_assignment(distances)[1] if distances else []
        for name, index in zip(wishes, chosen, strict=True):
            placed[name] = sites[index][2]
    return placed


def _wish(name: str) -> tuple[float, float]:
    for pattern, wish in WISHES:
        if found := re.search(pattern, name):
            return wish(*(int(number) for number in found.groups()))
    return WIDTH / 2, 46


def main(netlist: Path) -> None:
    design = json.loads(netlist.read_text())
    cells = design["modules"]["top"]["cells"]
    for name, site in place_hard_blocks(design).items():
        cells[name].setdefault("attributes", {})["BEL"] = site
    netlist.write_text(json.dumps(design))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
