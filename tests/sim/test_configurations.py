"""Random networks on accelerators of unusual sizes, of both styles."""

import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.hw.table_config import TableConfig
from downshift.sim.random_networks import Feature, random_case
from downshift.sim.runner import build_simulation
from downshift.sim.verify import verify

BRICK = AcceleratorConfig(
    rows=4, lanes=4, requantizers=4, weight_depth=4096, activation_bytes=8192,
    parameter_depth=1024, partial_sum_depth=32, program_depth=2048,
)  # fmt: skip
DEPTHS = {
    "activation_depth": 1024, "weight_depth": 4096, "parameter_depth": 1024, "program_depth": 2048,
}  # fmt: skip
CONFIGS = {
    "few rows, many lanes": {"lanes": 32, "output_depth": 1},
    "many rows, few lanes": {"rows": 32, "requantizers": 1, "tile_memory": True},
    "a requantizer a row": {"rows": 16, "lanes": 16, "requantizers": 16, "output_depth": 2},
    "no registers between blocks": {"rows": 8, "lanes": 8, "requantizers": 2, "pipelined": False},
    "nine segments": TableConfig(segments=9, sum_depth=32, **DEPTHS),
}
FEATURES = ((), (Feature.DEPTHWISE,), (Feature.SKIP,), (Feature.AVERAGE,), (Feature.WIDE,))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_rtl_equals_golden(name, check_frames, tmp_path):
    config = CONFIGS[name]
    tables = isinstance(config, TableConfig)
    config = config if tables else AcceleratorConfig(**{**vars(BRICK), **config})
    cases = [
        random_case(seed, config, images=1, features=FEATURES[seed % 5] if tables else ())
        for seed in range(100, 115)
    ]
    simulation = build_simulation(config, tmp_path)
    for case, reports in zip(cases, verify(simulation, cases, tmp_path), strict=True):
        check_frames(case, reports)
