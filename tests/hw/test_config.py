import re

import pytest

from downshift.hw.config import AcceleratorConfig


def test_equal_configurations_have_equal_fingerprints():
    assert AcceleratorConfig().fingerprint == AcceleratorConfig().fingerprint
    assert AcceleratorConfig().fingerprint != AcceleratorConfig(rows=16).fingerprint


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rows": 6}, ValueError, "rows must be a power of two, not 6"),
        ({"rows": 2, "requantizers": 1}, ValueError, "rows must be at least 4, not 2"),
        ({"lanes": 2}, ValueError, "lanes must be at least 4, not 2"),
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
