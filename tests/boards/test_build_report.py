import json
from pathlib import Path

import pytest

from downshift.boards import find
from downshift.boards.build_report import check_fit, read_report
from downshift.hw.errors import DownshiftError

ECP5 = {
    "fmax": {"$glbnet$clk": {"achieved": 91.234, "constraint": 80}},
    "utilization": {
        "TRELLIS_COMB": {"available": 83640, "used": 5000},
        "TRELLIS_FF": {"available": 83640, "used": 3000},
        "DP16KD": {"available": 208, "used": 12},
        "MULT18X18D": {"available": 156, "used": 4},
    },
}
ICE40 = {
    "fmax": {"clk": {"achieved": 20.5, "constraint": 21}},
    "utilization": {
        "ICESTORM_LC": {"available": 5280, "used": 4100},
        "ICESTORM_RAM": {"available": 30, "used": 28},
        "ICESTORM_DSP": {"available": 8, "used": 2},
        "ICESTORM_SPRAM": {"available": 4, "used": 2},
    },
}
SYNTHESIS = {"design": {"num_cells_by_type": {"SB_DFF": 5, "SB_DFFESR": 7, "SB_LUT4": 100}}}


def read(tmp_path, name, routed, synthesis=SYNTHESIS):
    (tmp_path / "report.json").write_text(json.dumps(routed))
    (tmp_path / "synthesis.json").write_text(json.dumps(synthesis))
    return read_report(
        find(name),
        report=tmp_path / "report.json",
        synthesis=tmp_path / "synthesis.json",
        bitstream=Path("top.bit"),
        seed=3,
    )


def test_ecp5(tmp_path):
    report = read(tmp_path, "ulx3s-85f", ECP5)
    assert (report.fmax_mhz, report.clock_mhz, report.meets_clock) == (91.23, 80.0, True)
    assert (report.lut, report.ff, report.bram, report.dsp, report.spram) == (5000, 3000, 12, 4, 0)
    assert (report.lut_available, report.bram_available, report.spram_available) == (83640, 208, 0)
    assert (report.board, report.seed, report.bitstream) == ("ulx3s-85f", 3, Path("top.bit"))


def test_ice40_flip_flops_come_from_synthesis(tmp_path):
    report = read(tmp_path, "icebreaker", ICE40)
    assert (report.lut, report.ff, report.bram, report.dsp, report.spram) == (4100, 12, 28, 2, 2)
    assert (report.ff_available, report.dsp_available, report.spram_available) == (5280, 8, 4)
    assert not report.meets_clock


@pytest.mark.parametrize("routed", [{}, [], {**ECP5, "fmax": {}}, {**ECP5, "utilization": {}}])
def test_a_report_of_something_else(tmp_path, routed):
    message = r"^report\.json or synthesis\.json does not hold the figures of a build: "
    with pytest.raises(DownshiftError, match=message):
        read(tmp_path, "ulx3s-85f", routed)


LOG = """
Info: Device utilisation:
Info: \t         ICESTORM_LC:    {luts}/   5280   {percent}%
Info: \t        ICESTORM_RAM:     {brams}/     30    90%
Info: \t               SB_IO:       3/     96     3%
Info: \t        ICESTORM_PLL:       1/      1   100%

ERROR: Unable to place cell 'top.lut', no BELs remaining to implement cell type 'ICESTORM_LC'
"""


@pytest.mark.parametrize(
    ("luts", "brams", "message"),
    [
        (
            6120,
            30,
            (
                "The accelerator needs 6,120 LUTs, icebreaker has 5,280: 840 too many; "
                "use fewer rows or lanes"
            ),
        ),
        (
            5281,
            90,
            (
                "The accelerator needs 90 block RAMs, icebreaker has 30: 60 too many; "
                "use a smaller activation_bytes, weight_depth or parameter_depth"
            ),
        ),
    ],
)
def test_the_resource_that_is_exceeded_most_is_named(luts, brams, message):
    log = LOG.format(luts=luts, brams=brams, percent=100 * luts // 5280)
    with pytest.raises(DownshiftError) as caught:
        check_fit(find("icebreaker"), log)
    assert str(caught.value) == message


def test_a_full_device_is_not_exceeded():
    check_fit(find("icebreaker"), LOG.format(luts=5280, brams=30, percent=100))
    check_fit(find("ulx3s-85f"), "")
