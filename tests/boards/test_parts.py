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
        ("accelerator.core.processor.executor.engine.core.array.row_3", "array"),
        ("accelerator.core.processor.executor.engine.core.array.fill.busy_LUT4_Z", "array"),
        ("accelerator.core.processor.executor.engine.core.array.word_2", "serializers"),
        ("accelerator.core.processor.executor.engine.core.fetch.walk.x", "fetch"),
        ("accelerator.core.processor.executor.engine.core.loader.switch.lane_0", "weights"),
        ("accelerator.core.processor.executor.engine.weights.memory.0.0", "weights"),
        ("accelerator.core.processor.executor.engine.core.rescale_15", "rescale"),
        ("accelerator.core.processor.executor.engine.core.i$102_CCU2C_S0", "rescale"),
        ("accelerator.core.processor.executor.engine.core.i__payload_LUT4_Z", "sums"),
        ("accelerator.core.processor.executor.engine.sums.memory", "sums"),
        ("accelerator.core.processor.executor.crc.register", "host link"),
        ("accelerator.core.processor.executor.engine.core.$11_MULT18X18D_P9", "residual"),
        ("accelerator.core.processor.executor.engine.count_cycles_LUT4_Z", "counters"),
        ("accelerator.core.processor.executor.engine.busy", "other"),
        ("accelerator.receiver.timer", "host link"),
        ("core.processor.executor.engine.array", "other"),
        ("clocking.pll", "other"),
    ],
)
def test_a_cell_belongs_to_the_part_of_its_path(cell, part):
    assert count_parts(ECP5, netlist((cell, "LUT4"))) == {part: {"lut": 1, **NOTHING}}


def test_kept_modules_count_with_what_is_below_them():
    found = count_parts(
        ECP5,
        netlist(
            ("accelerator.core.processor.executor.engine.core.array.row_0", "row"),
            ("accelerator.core.processor.executor.engine.core.array.row_1", "row"),
            ("accelerator.core.processor.executor.engine.core.array.x_LUT4_Z", "LUT4"),
            ("accelerator.core.processor.executor.engine.core.pool.x_LUT4_Z", "LUT4"),
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
    found = count_parts(ICE40, netlist(*((f"clocking.{kind}", kind) for kind in kinds)))
    assert found == {"other": {"lut": 1, "ff": 2, "bram": 1, "dsp": 1, "spram": 1}}


def test_what_has_no_cells_is_no_part():
    assert (
        count_parts(ECP5, netlist(("accelerator.core.processor.executor.engine", "$scopeinfo")))
        == {}
    )
