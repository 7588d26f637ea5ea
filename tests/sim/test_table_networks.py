"""Random networks on an accelerator of the table style, through its host link, against golden and its model."""

import pytest

from downshift.hw.table_config import TableConfig
from downshift.sim.cycles import cycles
from downshift.sim.random_networks import Feature, random_case
from downshift.sim.runner import build_simulation
from downshift.sim.verify import verify

CONFIG = TableConfig(
    segments=3, activation_depth=1024, weight_depth=4096, parameter_depth=1024, sum_depth=64,
    program_depth=2048,
)  # fmt: skip
FEATURES = [
    (),
    (Feature.IDENTITY,),
    (Feature.SKIP,),
    (Feature.DEPTHWISE,),
    (Feature.AVERAGE,),
    (Feature.DEPTHWISE, Feature.IDENTITY, Feature.AVERAGE),
]
ROUNDS = 4


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    return build_simulation(CONFIG, tmp_path_factory.mktemp("table"))


def test_rtl_equals_golden(simulation, tmp_path):
    cases = [
        random_case(10 * index + turn, CONFIG, images=1, features=features)
        for index, features in enumerate(FEATURES)
        for turn in range(ROUNDS)
    ]
    for case, reports in zip(cases, verify(simulation, cases, tmp_path), strict=True):
        for width, report in reports.items():
            where = f"{case.graph.name} at width {width}"
            assert report.mismatches == 0, where
            assert report.logits_compared > 0, where
            assert set(report.cycles) == {cycles(case.image, width).total}, where
