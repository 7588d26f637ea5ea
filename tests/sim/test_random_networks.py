"""Random networks through the host link of the whole accelerator, against golden and its model."""

from contextlib import suppress
from itertools import count

import pytest

from downshift.hw.config import AcceleratorConfig, DspConfig
from downshift.hw.errors import DownshiftError
from downshift.sim.layer_programs import overwritten_maps
from downshift.sim.random_networks import Feature, random_case
from downshift.sim.verify import verify

CONFIGS = {
    "default": AcceleratorConfig(),
    "small": AcceleratorConfig(
        rows=4, lanes=8, requantizers=1, weight_depth=4096, activation_bytes=4096,
        parameter_depth=1024, partial_sum_depth=16, program_depth=2048,
        output_depth=2, pipelined=False, half_rate=True,
    ),
    "compact": AcceleratorConfig(
        rows=4, lanes=4, requantizers=1, weight_depth=4096, activation_bytes=4096,
        parameter_depth=1024, partial_sum_depth=64, program_depth=2048,
        output_depth=1, tile_memory=True, pipelined=False,
    ),
    "hard multipliers": DspConfig(
        rows=4, lanes=4, requantizers=1, weight_depth=4096, activation_bytes=4096,
        parameter_depth=1024, partial_sum_depth=64, program_depth=2048,
        output_depth=1, pipelined=False, half_rate=True, pairs=False,
    ),
    "many hard multipliers": DspConfig(
        rows=8, lanes=8, requantizers=2, weight_depth=4096, activation_bytes=4096,
        parameter_depth=1024, partial_sum_depth=32, program_depth=2048,
    ),
    "all layers, little memory": AcceleratorConfig(
        rows=8, lanes=4, weight_depth=4096, activation_bytes=1024, parameter_depth=1024,
        partial_sum_depth=32, program_depth=4096, all_layers=True,
    ),
    "all layers, wide": AcceleratorConfig(
        rows=4, lanes=8, requantizers=1, weight_depth=8192, parameter_depth=2048,
        partial_sum_depth=64, program_depth=4096, output_depth=2, all_layers=True,
    ),
    "all layers, hard multipliers": DspConfig(
        rows=16, lanes=4, requantizers=4, weight_depth=4096, parameter_depth=1024,
        partial_sum_depth=16, program_depth=4096, all_layers=True,
    ),
}  # fmt: skip
NETWORKS = 14
FEATURES = [
    [],
    [Feature.DEPTHWISE],
    [Feature.AVERAGE],
    [Feature.IDENTITY],
    [Feature.SKIP],
    [Feature.WIDE, Feature.AVERAGE],
    [Feature.IDENTITY, Feature.DEPTHWISE, Feature.SKIP],
]
"""Of networks for accelerators that run all layers."""


@pytest.fixture(scope="module", params=CONFIGS, ids=list(CONFIGS))
def simulation(request, simulator):
    return simulator(CONFIGS[request.param])


def random_cases(config):
    """The first networks that the memories hold."""
    cases = []
    for seed in count():
        features = FEATURES[seed % len(FEATURES) * config.all_layers]
        with suppress(DownshiftError):
            cases.append(random_case(seed, config, features=features))
        if len(cases) == NETWORKS:
            return cases


def test_maps_of_some_networks_share_memory():
    cases = random_cases(CONFIGS["all layers, little memory"])
    assert any(overwritten_maps(case.image, w) for case in cases for w in case.image.widths)


def test_rtl_equals_golden(simulation, check_frames, tmp_path):
    cases = random_cases(simulation.config)
    for case, reports in zip(cases, verify(simulation, cases, tmp_path), strict=True):
        check_frames(case, reports)
