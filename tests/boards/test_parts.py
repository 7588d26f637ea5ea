import pytest

from downshift.boards.families import FAMILIES
from downshift.boards.parts import count_parts

ECP5, ICE40 = (FAMILIES[name] for name in ("ecp5", "ice40"))
NOTHING = {"ff": 0, "bram": 0, "dsp": 0, "spram": 0}


def module(cells, **attributes):
    return {"attributes": attributes, "cells": {name: {"type": kind} for name, kind in cells}}


def netlist(*cells, **modules):
    primitives = {"LUT4": module([("inner", "LUT4")], blackbox="1")}
    return {"modules": {"top": module(cells, top="1"), **primitives, **modules}}


@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("accelerator.engine.core.array.row_3", "array"),
        ("accelerator.engine.core.array.fill.busy_LUT4_Z", "array"),
        ("accelerator.engine.core.array.word_2", "serializers"),
        ("accelerator.engine.core.fetch.walk.x", "fetch"),
        ("accelerator.engine.core.loader.switch.lane_0", "weights"),
        ("accelerator.engine.weights.memory.0.0", "weights"),
        ("accelerator.engine.core.rescale_15", "rescale"),
        ("accelerator.engine.core.i$102_CCU2C_S0", "rescale"),
        ("accelerator.engine.core.i__payload_LUT4_Z", "sums"),
        ("accelerator.engine.sums.memory", "sums"),
        ("accelerator.processor.crc.register", "host link"),
        ("accelerator.engine.core.$11_MULT18X18D_P9", "residual"),
        ("accelerator.engine.count_cycles_LUT4_Z", "counters"),
        ("accelerator.engine.busy", "other"),
        ("engine.core.array", "other"),
        ("clocking.pll", "other"),
    ],
)
def test_a_cell_belongs_to_the_part_of_its_path(cell, part):
    assert count_parts(ECP5, netlist((cell, "LUT4"))) == {part: {"lut": 1, **NOTHING}}


def test_kept_modules_count_with_what_is_below_them():
    found = count_parts(
        ECP5,
        netlist(
            ("accelerator.engine.core.array.row_0", "row"),
            ("accelerator.engine.core.array.row_1", "row"),
            ("accelerator.engine.core.array.x_LUT4_Z", "LUT4"),
            ("accelerator.engine.core.pool.x_LUT4_Z", "LUT4"),
            row=module([("a", "segment"), ("b", "segment"), ("c", "TRELLIS_FF")]),
            segment=module([("a", "LUT4"), ("b", "CCU2C"), ("c", "TRELLIS_DPR16X4")]),
        ),
    )
    assert found == {
        "array": {"lut": 2 * 2 * (1 + 2 + 6) + 1, **NOTHING, "ff": 2},
        "pool": {"lut": 1, **NOTHING},
    }
    assert list(found) == ["array", "pool"]


def test_ice40_cells():
    kinds = ("SB_LUT4", "SB_DFFESR", "SB_DFF", "SB_RAM40_4K", "SB_MAC16", "SB_SPRAM256KA", "SB_IO")
    found = count_parts(ICE40, netlist(*((f"accelerator.{kind}", kind) for kind in kinds)))
    assert found == {"other": {"lut": 1, "ff": 2, "bram": 1, "dsp": 1, "spram": 1}}


def test_what_has_no_cells_is_no_part():
    assert count_parts(ECP5, netlist(("accelerator.engine", "$scopeinfo"))) == {}
