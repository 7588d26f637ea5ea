# amaranth: UnusedElaboratable=no
import subprocess
import sys

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.ecp5 import Ecp5Fabric
from downshift.hw.fabric import Addition, Fabric
from downshift.hw.generate import generate_verilog

PROOF = """
read_verilog gold.v gate.v
read_verilog -D NO_INCLUDES +/ecp5/cells_sim.v
setattr -mod -unset lib_whitebox *
hierarchy
proc
flatten
miter -equiv -flatten -make_assert gold gate both
hierarchy -top both
opt_clean
sat -verify -prove-asserts both
"""

KINDS = ["plain", "gated", "either", "both", "negate", "carry", "wrap"]


class Adders(wiring.Component):
    """One addition of each of `kinds`, in a row."""

    def __init__(self, fabric, kinds, widths):
        self.fabric = fabric
        self.kinds = kinds
        self.widths = widths
        members = {}
        for k, (kind, width) in enumerate(zip(kinds, widths, strict=True)):
            members |= {f"{name}{k}": In(width) for name in "abc"}
            members |= {
                f"s{k}": In(1),
                f"g{k}": In(1),
                f"o{k}": Out(width + (kind not in ("negate", "wrap"))),
            }
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        additions = []
        for k, kind in enumerate(self.kinds):
            o, a, b, c, s, g = (getattr(self, f"{name}{k}") for name in "oabcsg")
            additions.append(
                Addition(
                    o=o,
                    a=a,
                    b=b,
                    other=c if kind == "either" else None,
                    select=s if kind in ("gated", "either", "both") else None,
                    gate=g if kind == "both" else None,
                    negate=s if kind == "negate" else None,
                    carry=s if kind == "carry" else None,
                )
            )
        self.fabric.add(m, "sum", additions)
        return m


@pytest.mark.parametrize("places", [64, 8])
@pytest.mark.parametrize(
    ("kinds", "widths"),
    [([kind], [width]) for kind in KINDS for width in (1, 4, 7)]
    + [(KINDS * 2 + KINDS[::-1], [3, 4, 5, 6, 7, 3, 4] * 3)],
)
def test_chains_add(kinds, widths, places, tmp_path):
    pytest.importorskip("pyosys")
    fabric = Ecp5Fabric()
    fabric.chain_places = places
    for name, parts in (("gold", Fabric()), ("gate", fabric)):
        text = generate_verilog(Adders(parts, kinds, widths), name=name)
        (tmp_path / f"{name}.v").write_text(text)
    (tmp_path / "prove.ys").write_text(PROOF)
    command = [sys.executable, "-m", "downshift.boards.synthesize", "prove.ys"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-1000:] + ran.stderr[-1000:]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("select negate", "^An addition must not both select and negate$"),
        ("negate carry", "^An addition must not both carry and negate$"),
        ("other", "^An addition with an other operand must have a select$"),
        ("gate", "^An addition with a gate must have a select, and no other operand$"),
        ("gate select other", "^An addition with a gate must have a select, and no other operand$"),
    ],
)
def test_addition_refuses(given, message):
    a = Signal(2)
    with pytest.raises(ValueError, match=message):
        Addition(o=a, a=a, b=a, **dict.fromkeys(given.split(), a))
