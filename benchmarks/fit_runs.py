"""Synthesise and pack accelerators of many sizes; `boards/fit_runs.json` holds what they take.

A program: ``python benchmarks/fit_runs.py [--family ecp5] [--jobs 2]``. It adds what is missing, so
it can be stopped at any time; delete entries (or the file) to have them measured again, as after a
change of the gateware. `downshift.boards.fit` predicts from these runs what an accelerator takes.
"""

import argparse
import json
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from downshift.boards import find
from downshift.boards.build_report import UTILISATION
from downshift.boards.families import FAMILIES
from downshift.boards.fit import LEAST_BANK
from downshift.boards.fit_runs import RUNS, described, read_runs
from downshift.boards.flow import place_step, synthesis_steps
from downshift.boards.generate import generate
from downshift.boards.tools import run_steps
from downshift.hw.config import AcceleratorConfig, DspConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import ALL_FEATURES, Feature
from downshift.sw.atomic_write import write_atomically
from downshift.sw.compile.image import STYLE_NAMES

BOARDS = {"ecp5": "ulx3s-85f", "gowin": "tang-primer-20k", "ice40": "icebreaker"}
"""By family: the board that is packed for."""
FEATURED = {
    Feature.SCRUB: 6,
    Feature.SCRUB | Feature.QUEUE: 3,
    ALL_FEATURES: 3,
}
"""Accelerators of a family that are measured with features."""


def sizes(family: str) -> list[AcceleratorConfig]:
    """Accelerators as they are wanted in practice, spread over what a family can hold."""
    rng = np.random.default_rng(0)
    shapes = {
        "ecp5": [(4, 4), (8, 4), (4, 8), (8, 8), (16, 4), (4, 16), (32, 4), (16, 8), (8, 16)],
        "gowin": [(4, 4), (8, 4), (4, 8), (8, 8), (16, 4)],
        "ice40": [(4, 4)],
    }[family]
    trials = range({"ecp5": 4, "gowin": 5, "ice40": 16}[family])
    # What takes long to synthesise comes last, and once.
    large = [(0, size) for size in ((32, 8), (16, 16))] if family == "ecp5" else []
    chosen = {find(BOARDS[family]).config: None}
    for trial, (rows, lanes) in [*product(trials, shapes), *large]:
        small = rows * lanes <= 32
        config = AcceleratorConfig(
            rows=rows,
            lanes=lanes,
            requantizers=1 if family == "ice40" else int(2 ** rng.integers(0, 3 - small)),
            weight_depth=int(2 ** rng.integers(9, 15 if family == "ice40" else 13)),
            activation_bytes=max(
                int(2 ** rng.integers(10, 13 if family == "ice40" else 15)), LEAST_BANK * lanes
            ),
            parameter_depth=int(2 ** rng.integers(6, 11)),
            partial_sum_depth=int(2 ** rng.integers(6, 11)),
            program_depth=int(2 ** rng.integers(7, 11)),
            output_depth=1 if family == "ice40" or (family == "gowin" and trial % 2) else 16,
            tile_memory=family == "ice40" or (family == "gowin" and bool(rng.integers(2))),
            pipelined=family != "ice40",
        )
        chosen[config] = None
    return [*chosen, *complete(list(chosen)), *hard(family)]


def complete(chosen: list[AcceleratorConfig]) -> list[AcceleratorConfig]:
    """Some of those chosen, able to run all layers."""
    small = [size for size in chosen if size.pipelined and size.rows * size.lanes <= 64]
    return [replace(size, all_layers=True) for size in small[::2][:10]]


def hard(family: str) -> list[DspConfig]:
    """Accelerators with an array of hard multipliers."""
    rng = np.random.default_rng(1)
    if family == "gowin":
        return []
    small = family == "ice40"
    shapes = [(4, 4)] if small else [(4, 4), (8, 4), (4, 8), (8, 8), (16, 4), (4, 16), (16, 8)]
    return [
        DspConfig(
            rows=rows,
            lanes=lanes,
            requantizers=1 if small else int(2 ** rng.integers(0, 3)),
            weight_depth=1 << 14 if small else int(2 ** rng.integers(9, 13)),
            activation_bytes=max(int(2 ** rng.integers(10, 15)), LEAST_BANK * lanes),
            parameter_depth=int(2 ** rng.integers(6, 11)),
            partial_sum_depth=int(2 ** rng.integers(6, 11)),
            program_depth=int(2 ** rng.integers(7, 11)),
            output_depth=1 if small else 16,
            pipelined=not small,
            half_rate=small,
            pairs=not small,
        )
        for _, (rows, lanes) in product(range(6 if small else 3), shapes)
    ]


def featured(family: str) -> list[tuple[AcceleratorConfig, Feature]]:
    """Those of `sizes` that are measured with features, too: what these take grows with little."""
    if family == "ice40":
        return []
    small = [size for size in sizes(family) if size.rows * size.lanes <= 64][1:]
    return [(size, features) for features, count in FEATURED.items() for size in small[:count]]


def measure(family: str, config: AcceleratorConfig, features: Feature) -> dict[str, int]:
    """Cells that a board's design with this accelerator takes, as packed."""
    board = replace(find(BOARDS[family]), features=features)
    place = place_step(board, config, seed=1)
    place = replace(place, arguments=(*place.arguments, "--pack-only"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(board, config, folder)
        run_steps(board, synthesis_steps(board, config), folder)
        try:
            run_steps(board, [place], folder)
        except DownshiftError:  # what is too large, and what ends for want of a place to report
            pass
        log = (folder / place.log).read_text()
        mapped = json.loads((folder / "synthesis.json").read_text())["design"]["num_cells_by_type"]
    found = {cell: int(used) for cell, used, _ in UTILISATION.findall(log)}
    if family == "gowin":  # until it is placed, each memory blocks six look-up tables beside it
        found["LUT4"] -= 6 * found["RAM16SDP4"]
    used = {
        resource: sum(taken * found[cell] for cell, taken in cells.items())
        for resource, cells in FAMILIES[family].cells.items()
    }
    registers = FAMILIES[family].registers
    if registers:
        used["ff"] = sum(n for cell, n in mapped.items() if re.match(registers, cell))
    return used


def _described(config: AcceleratorConfig, features: Feature) -> dict[str, Any]:
    """What a run says of an accelerator."""
    return {"style": STYLE_NAMES[type(config)], **asdict(config), "features": int(features)}


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description="Measure what accelerators take.")
    parser.add_argument("--family", choices=BOARDS, action="append")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    lock = Lock()

    def add(family, config, features):
        used = measure(family, config, features)
        with lock:
            runs = {name: list(entries) for name, entries in read_runs().items()}
            entry = {**_described(config, features), **used}
            runs.setdefault(family, []).append(entry)
            write_atomically(RUNS, described(runs))
        print(family, config, repr(features), used, flush=True)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        waiting = []
        for family in arguments.family or BOARDS:
            known = read_runs().get(family, [])
            wanted = featured(family) + [(size, Feature.NONE) for size in sizes(family)]
            for config, features in wanted:
                fields = _described(config, features)
                if not any(fields.items() <= run.items() for run in known):
                    waiting.append(pool.submit(add, family, config, features))
        for each in waiting:
            each.result()


if __name__ == "__main__":
    main()
