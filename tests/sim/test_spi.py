"""The accelerator behind SPI, with the driver and with the host in C."""

import subprocess

import numpy as np
import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sim.cycles import cycles
from downshift.sim.random_networks import random_case
from downshift.sim.runner import SPI
from downshift.sim.verify import verify
from downshift.sw.compile.image import Image
from downshift.sw.exporting.host_model import driver_texts, host_model

CONFIG = AcceleratorConfig(
    rows=4, requantizers=1, weight_depth=1024, activation_bytes=8192, parameter_depth=512
)
SHIM = """
#include "downshift.h"
#include "model.h"
static downshift_host host;
int load(downshift_transfer transfer)
{
    downshift_init(&host, transfer, NULL);
    host.patience = 20000;
    host.attempts = 16;
    return downshift_load(&host, &model_mine);
}
int run(int width, const uint8_t *codes, int32_t *logits, uint32_t *cycles)
{
    downshift_counters counters = {0, 0, 0, 0, 0};
    int status = downshift_run_counted(&host, &model_mine, (uint8_t)width, codes,
                                       logits, &counters);
    *cycles = counters.cycles;
    return status;
}
int scrub(void)
{
    return downshift_scrub(&host, &model_mine);
}
"""


@pytest.fixture(scope="module")
def simulation(simulator):
    return simulator(CONFIG, SPI)


def compiled_host(image, folder):
    """The host in C for one model, as a library."""
    texts = {**driver_texts(), "model.h": host_model(image, name="mine"), "shim.c": SHIM}
    for name, text in texts.items():
        (folder / name).write_text(text)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-O1"]
    command = ["gcc", *flags, "-shared", "-fPIC", "downshift.c", "shim.c", "-o", "host.so"]
    subprocess.run(command, cwd=folder, check=True)
    return str(folder / "host.so")


def c_frames(simulation, case, folder, **options):
    np.save(folder / "x.npy", case.x)
    classes = case.image.maps[case.graph.widths[0]][-1].shape[2]
    arguments = {
        "library": compiled_host(case.image, folder),
        "inputs": str(folder / "x.npy"),
        "classes": classes,
        **options,
    }
    return simulation.run("downshift.sim.c_host:c_host_frames", arguments, folder)


def test_the_driver_runs_over_spi(simulation, tmp_path, check_frames):
    cases = [random_case(seed, CONFIG) for seed in range(1, 6)]
    for case, reports in zip(cases, verify(simulation, cases, tmp_path), strict=True):
        check_frames(case, reports)


@pytest.mark.parametrize("seed", [1, 5, 14])
def test_the_host_in_c_equals_golden(simulation, tmp_path, seed):
    case = random_case(seed, CONFIG)
    schedule = [(index, width) for index in range(len(case.x)) for width in case.graph.widths]
    found = c_frames(simulation, case, tmp_path, schedule=[*schedule, (0, 1)])
    assert found["load"] == found["scrub"] == 0
    *frames, missing = found["frames"]
    assert missing["status"] == -4
    for (index, width), frame in zip(schedule, frames, strict=True):
        expected = golden.run(case.graph, case.x, width).logits[index].reshape(-1)
        assert frame["status"] == 0
        assert frame["logits"] == expected.tolist()
        assert frame["cycles"] == cycles(case.image, width).total


def test_the_host_in_c_on_a_bad_line(simulation, tmp_path):
    case = random_case(1, CONFIG)
    rng = np.random.default_rng(0)
    schedule = [
        (int(rng.integers(len(case.x))), int(rng.choice(case.graph.widths))) for _ in range(40)
    ]
    found = c_frames(simulation, case, tmp_path, schedule=schedule, rate=0.002, seed=1)
    assert found["load"] == 0
    right = 0
    for (index, width), frame in zip(schedule, found["frames"], strict=True):
        expected = golden.run(case.graph, case.x, width).logits[index].reshape(-1)
        assert frame["status"] != 0 or frame["logits"] == expected.tolist()
        right += frame["status"] == 0
    assert right >= 38


def test_a_host_for_another_accelerator_is_told(simulation, tmp_path):
    other = random_case(1, AcceleratorConfig(rows=8, activation_bytes=8192))
    found = c_frames(simulation, other, tmp_path, schedule=[])
    assert found["load"] == 5


def test_tables_have_no_host_in_c():
    image = random_case(1, TableConfig(segments=3), images=1).image
    assert isinstance(image, Image)
    with pytest.raises(DownshiftError, match="brick style only"):
        host_model(image, name="x")
