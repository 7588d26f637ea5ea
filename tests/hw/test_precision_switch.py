# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from downshift.hw.precision_switch import PrecisionSwitch, precision_switch, switch_code
from downshift.sim.block_bench import run

CODES = np.arange(-128, 128)
PAIRS = [(stored, width) for stored in range(2, 9) for width in range(2, stored + 1)]


@pytest.mark.parametrize(
    ("code", "width", "result"),
    [(-128, 2, -2), (-97, 2, -2), (-96, 2, -2), (-95, 2, -1), (32, 2, 0), (33, 2, 1), (96, 2, 1),
     (-32, 2, 0), (-33, 2, -1), (8, 4, 0), (24, 4, 2), (-8, 4, 0), (-24, 4, -2), (127, 4, 7),
     (2, 6, 0), (6, 6, 2), (-2, 6, 0), (127, 6, 31), (127, 8, 127), (-128, 8, -128), (1, 7, 0),
     (3, 7, 2), (-1, 7, 0), (-3, 7, -2), (-128, 1, -1), (-1, 1, -1), (0, 1, 1), (127, 1, 1)],
)  # fmt: skip
def test_hand_worked(code, width, result):
    assert precision_switch(code, width=width) == result


@pytest.mark.parametrize(("stored", "width"), PAIRS)
def test_equals_its_definition(stored, width):
    codes = CODES[(-1 << stored - 1 <= CODES) & (CODES < 1 << stored - 1)]
    top = 1 << width - 1
    expected = np.clip(np.rint(codes / 2.0 ** (stored - width)), -top, top - 1)
    assert np.array_equal(precision_switch(codes, width=width, stored_width=stored), expected)


def test_centred_weights_are_the_middle_of_their_steps():
    steps = {code: [k for k in CODES if k >> 6 == code >> 6] for code in CODES}
    middles = np.array([(steps[code][0] + steps[code][-1] + 1) // 2 for code in CODES])
    running = precision_switch(CODES, width=3, centred=True)
    assert set(running.tolist()) == {-3, -1, 0, 1, 3}
    assert np.array_equal(running * 32, np.where(CODES == 0, 0, middles))


def test_populations_of_two_bits():
    values, counts = np.unique(precision_switch(CODES, width=2), return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {
        -2: 33,
        -1: 63,
        0: 65,
        1: 95,
    }


@pytest.mark.parametrize(
    "asked", [*({"width": width} for width in range(2, 9)), {"width": 3, "centred": True}]
)
@pytest.mark.parametrize("gaps", [0.0, 0.5])
def test_block_equals_golden_on_every_code(asked, gaps):
    words = CODES.reshape(-1, 4).tolist()
    taken, cycles = run(
        PrecisionSwitch(lanes=4), {"i": words}, outputs={"o": 64},
        settings={"width": switch_code(**asked)}, gaps=gaps,
    )  # fmt: skip
    assert np.array_equal([list(o) for o in taken["o"]], precision_switch(words, **asked))
    if not gaps:
        latencies = np.subtract(cycles["o"], cycles["i"])
        assert set(latencies) == {PrecisionSwitch.latency}


@pytest.mark.parametrize(
    ("codes", "arguments", "message"),
    [
        (0, {"width": 0}, r"^Width must be in 1..8, not 0$"),
        (0, {"width": 5, "stored_width": 4}, r"^Width must be in 1..4, not 5$"),
        (0, {"width": 2, "stored_width": 9}, r"^Stored width must be in 2..8, not 9$"),
        (0, {"width": 2, "centred": True}, r"^Centred weights have 3 bits, not 2$"),
        ([5, 8], {"width": 2, "stored_width": 4}, r"^Codes must be in -8..7, not 5..8$"),
    ],
)
def test_golden_refuses(codes, arguments, message):
    with pytest.raises(ValueError, match=message):
        precision_switch(codes, **arguments)


def test_block_refuses():
    with pytest.raises(ValueError, match=r"^Lanes must be a positive integer, not 0$"):
        PrecisionSwitch(lanes=0)
