"""Which part of an accelerator takes which cells: the mapped netlist, by instance."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from downshift.boards.families.family import TOP, Family

__all__ = ["PARTS", "count_parts"]

ENGINE = "core.processor.executor.engine."

PARTS: dict[str, tuple[str, ...]] = {
    "serializers": ("core.array.word_",),
    "array": ("core.array", "core.i_acts__payload", "array", "acts_skid"),
    "lanes": ("core.lanes",),
    "fetch": ("core.fetch", "core.chains", "window"),
    "weights": ("core.loader", "weights", "loader"),
    "sums": ("core.sums", "core.i__payload", "sums", "queue", "dots_skid"),
    "rescale": ("core.rescale", "core.i$", "core.i_", "requantize"),
    # Products and sums of the residual have no names of their own.
    "residual": ("core.residual", "core.product_", "core.$"),
    "writer": ("core.writer", "writer", "codes_skid"),
    "pool": ("core.pool", "pool"),
    "parameters": ("core.parameters", "parameters", "serializer"),
    "program": ("program", "sequencer", "layer"),
    "activations": ("activations", "$signature__"),
    "counters": ("count_"),
}
"""By name: how the paths of its instances begin, below the engine; what stands first counts.

All outside the engine is the part "host link". Cells of none of them are the part "other": glue
between the parts, and clocks.
"""

def count_parts(family: Family, netlist: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Count the cells of each part of a mapped netlist.

    Parameters
    ----------
    family : Family
        Of the device that it is mapped to.
    netlist : mapping
        As Yosys writes it, with the accelerator as instance ``accelerator`` of the top module;
        modules may be kept.

    Returns
    -------
    dict of str to dict
        By part, those with the most look-up tables first: ``lut``, ``ff``, ``bram``, ``dsp`` and
        ``spram``. Place and route may add a few.
    """
    modules = {
        name: module for name, module in netlist["modules"].items()
        if not {"blackbox", "whitebox"} & set(module["attributes"])
    }
    known: dict[str, Counter[str]] = {}
    counts: dict[str, Counter[str]] = {}
    for name, cell in modules[TOP]["cells"].items():
        part = counts.setdefault(_part_of(name), Counter())
        part.update(_cost(family, cell["type"], modules, known))
    order = sorted(counts, key=lambda part: (-counts[part]["lut"], part))
    return {
        part: {kind: counts[part][kind] for kind in ("lut", "ff", "bram", "dsp", "spram")}
        for part in order if any(counts[part].values())
    }


def _part_of(cell: str) -> str:
    path = cell.removeprefix("accelerator.")
    if path == cell:
        return "other"
    if not path.startswith(ENGINE):
        return "host link"
    below = path.removeprefix(ENGINE)
    parts = (part for part, beginnings in PARTS.items() if below.startswith(beginnings))
    return next(parts, "other")


def _cost(
    family: Family, kind: str, modules: Mapping[str, Any], known: dict[str, Counter[str]]
) -> Counter[str]:
    """Cells that an instance takes, those of the modules below it included."""
    if kind not in modules:
        register = family.registers and kind.startswith(family.registers)
        return Counter({"ff": 1} if register else family.costs.get(kind, {}))
    if kind not in known:
        known[kind] = Counter()
        for cell in modules[kind]["cells"].values():
            known[kind].update(_cost(family, cell["type"], modules, known))
    return known[kind]
