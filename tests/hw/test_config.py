import re
from dataclasses import replace

import pytest

from downshift.hw.config import AcceleratorConfig, DspConfig


def test_equal_configurations_have_equal_fingerprints():
    assert AcceleratorConfig().fingerprint == AcceleratorConfig().fingerprint
    assert AcceleratorConfig().fingerprint != AcceleratorConfig(rows=16).fingerprint
    slow = AcceleratorConfig(pipelined=False)
    assert slow.fingerprint != replace(slow, half_rate=True).fingerprint
    assert AcceleratorConfig().fingerprint != AcceleratorConfig(all_layers=True).fingerprint
    assert DspConfig().fingerprint == DspConfig().fingerprint != AcceleratorConfig().fingerprint


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rows": 6}, ValueError, "rows must be a power of two, not 6"),
        ({"rows": 2, "requantizers": 1}, ValueError, "rows must be at least 4, not 2"),
        ({"lanes": 2}, ValueError, "lanes must be at least 4, not 2"),
        ({"half_rate": 1}, TypeError, "half_rate must be True or False, not 1"),
        ({"half_rate": True}, ValueError,
         "half_rate must be False with pipelined: it is for slow clocks"),
        ({"all_layers": True, "pipelined": False}, ValueError,
         "all_layers must be False without pipelined"),
        ({"all_layers": True, "rows": 256}, ValueError,
         "rows must be at most 128 with all_layers, not 256"),
        ({"rows": "8"}, TypeError, "rows must be an integer, not '8'"),
        ({"lanes": True}, TypeError, "lanes must be an integer, not True"),
        ({"requantizers": 8}, ValueError,
         "requantizers must be at most min(rows, lanes) = 4, not 8"),
        ({"program_depth": 32}, ValueError, "program_depth must be in 64..65536, not 32"),
        ({"activation_bytes": 8}, ValueError, "activation_bytes must be in 16..4194304, not 8"),
    ],
)  # fmt: skip
def test_refuses(arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        AcceleratorConfig(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 6}, "rows must be a power of two, not 6"),
        ({"lanes": 64}, "lanes must be at most 32 with hard multipliers, not 64"),
        ({"tile_memory": True},
         "tile_memory must be False: hard multipliers have a tile of their own"),
    ],
)  # fmt: skip
def test_hard_multipliers_refuse(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        DspConfig(**arguments)
