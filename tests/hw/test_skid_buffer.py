# amaranth: UnusedElaboratable=no
import numpy as np
import pytest

from downshift.hw.skid_buffer import SkidBuffer
from downshift.sim.block_bench import run


@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.8])
def test_passes_everything_on(gaps):
    values = list(range(100))
    taken, cycles = run(SkidBuffer(shape=8), {"i": values}, outputs={"o": len(values)}, gaps=gaps)
    assert taken["o"] == values
    if not gaps:
        assert set(np.subtract(cycles["o"], cycles["i"])) == {SkidBuffer.latency}
