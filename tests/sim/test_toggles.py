"""Toggles of a dump written by hand, whose counts are known."""

import io

import numpy as np
import pytest

from downshift.hw.errors import DownshiftError
from downshift.sim import toggles as module
from downshift.sim.toggles import count_toggles

NO_DUMP = "The trace is no value change dump that is read here: "
HEADER = """$date today $end
$version by hand $end
$timescale 1ps $end
$scope module top $end
 $var wire 1 ! clk $end
 $var wire 1 " on $end
 $var wire 4 # bus [3:0] $end
 $scope module cell $end
  $var wire 1 ! C $end
  $var wire 1 ab Q $end
  $var real 64 ac volts $end
 $upscope $end
 $var wire 1 ad late $end
$upscope $end
$enddefinitions $end
"""
BODY = """
#0
$dumpvars
x!
0"
bx #
0ab
r0.5 ac
$end
#10
1!
b101 #
1ab
#20
0!
1"
b1010 #
0ab
#30
1!
xab
#40
0!
1ab
b0 #
#50
1!
0"
0ab
#60
0!
1ab
#70
1!
1"
#80
0!
0ab
"""


def count(body=BODY, header=HEADER, **options):
    return count_toggles(io.BytesIO((header + body).encode()), **options)


def by_name(toggles):
    return {
        name: toggles.counts[:, list(columns)].tolist() for name, columns in toggles.bits.items()
    }


def test_all_of_a_dump():
    clock, output = [[7]], [[5]]
    assert by_name(count()) == {
        "top.clk": clock,
        "top.on": [[3]],
        "top.bus": [[1, 2, 1, 2]],  # lowest bit first; of what was x, nothing
        "top.cell.C": clock,
        "top.cell.Q": output,
        "top.late": [[0]],
    }


def test_two_names_of_a_net_share_its_columns():
    toggles = count()
    assert toggles.bits["top.clk"] == toggles.bits["top.cell.C"]
    assert toggles.counts.shape == (1, 1 + 1 + 4 + 1 + 1)


def test_windows():
    toggles = count(marker="top.on")
    assert by_name(toggles) == {
        "top.clk": [[2], [1]],
        "top.on": [[0], [0]],
        "top.bus": [[0, 1, 0, 1], [0, 0, 0, 0]],
        "top.cell.C": [[2], [1]],
        "top.cell.Q": [[0], [1]],
        "top.late": [[0], [0]],
    }
    assert toggles.of("top.bus").tolist() == [2, 0]


@pytest.mark.parametrize("marker", [None, "top.on"])
def test_any_cut_gives_the_same(monkeypatch, marker):
    whole = count(marker=marker).counts
    for size in range(1, 60):
        monkeypatch.setattr(module, "CHUNK", size)
        assert np.array_equal(count(marker=marker).counts, whole)


@pytest.mark.parametrize("marker", [None, "top.on"])
@pytest.mark.parametrize("body", ["", "\n", "#0\n", "#0\n#5\n\n#10\n"])
def test_nothing_changes(body, marker):
    assert not count(body, marker=marker).counts.any()


def test_many_nets():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, (200, 10_000))
    names = [chr(33 + k // 8836 % 94) + chr(33 + k // 94 % 94) + chr(33 + k % 94)
             for k in range(values.shape[1])]  # fmt: skip
    header = "".join(f"$var wire 1 {name} n{k} $end\n" for k, name in enumerate(names))
    steps = [
        f"#{time}\n" + "".join(f"{value}{names[k]}\n" for k, value in enumerate(row))
        for time, row in enumerate(values)
    ]
    toggles = count("".join(steps), header + "$enddefinitions $end\n")
    assert np.array_equal(toggles.counts[0], (values[1:] != values[:-1]).sum(0))


@pytest.mark.parametrize(
    ("header", "body", "sentence"),
    [
        ("", "", "The trace ends among its declarations; simulate again"),
        (HEADER[:-20], "", "The trace ends among its declarations; simulate again"),
        (HEADER, BODY[:-1], "The trace ends in the middle of a line; simulate again"),
        ("no dump\n", "", NO_DUMP + "'no dump'"),
        (HEADER, "#0\n1?\n", NO_DUMP + "'1?'"),
        (HEADER, "#0\n1\n", NO_DUMP + "'1'"),
        (HEADER, "#0\n1abcd\n", NO_DUMP + "'1abcd'"),
        (HEADER, "#0\n1#\n", NO_DUMP + "'1#'"),
        (HEADER, "#0\nb10101 #\n", NO_DUMP + "'b10101 #'"),
        (HEADER, "#0\nb12 #\n", NO_DUMP + "'b12 #'"),
        (HEADER, "#0\nb1\n", NO_DUMP + "'b1'"),
        (HEADER, "#0\n?!\n", NO_DUMP + "'?!'"),
        (HEADER, "#0\n\xff\xfe\n", NO_DUMP + "'ÿþ'"),
        ("$var wire 0 ! a $end\n", "", NO_DUMP),
        (f"$var wire {'9' * 5000} ! a $end\n", "", NO_DUMP),
        ("$var wire 1 ! a $end\n$var wire 2 ! b $end\n", "", NO_DUMP),
        ("$var wire 1 ! a $end\n$var wire 1 # a $end\n", "", NO_DUMP),
        ("$upscope $end\n", "", NO_DUMP + "'$upscope'"),
    ],
)  # fmt: skip
def test_what_is_no_dump(header, body, sentence):
    with pytest.raises(DownshiftError) as refused:
        count(body, header)
    assert str(refused.value).startswith(sentence)
    assert len(str(refused.value)) < 120 and "\n" not in str(refused.value)


@pytest.mark.parametrize("marker", ["top.off", "top.bus"])
def test_a_marker_that_is_none(marker):
    sentence = rf"^The trace has no bit {marker}; trace the module that has it$"
    with pytest.raises(DownshiftError, match=sentence):
        count(marker=marker)


def test_a_step_without_an_end(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 10)
    monkeypatch.setattr(module, "LONGEST_STEP", 100)
    with pytest.raises(DownshiftError, match=r"^The trace has a time step of more than 100 bytes"):
        count("#0\n" + "1!\n" * 100)
