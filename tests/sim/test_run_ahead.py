"""Frames ahead of each other on the simulated accelerator."""

import numpy as np
import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.sim import golden
from downshift.sim.random_networks import random_case, random_codes
from downshift.sim.runner import SPI, UART

CONFIG = AcceleratorConfig(
    rows=4, requantizers=1, weight_depth=1024, activation_bytes=8192, parameter_depth=512
)
FRAMES = 12


@pytest.mark.parametrize("link", [UART, SPI], ids=["uart", "spi"])
def test_frames_ahead_of_each_other_equal_golden_and_take_less_time(simulator, tmp_path, link):
    simulation = simulator(CONFIG, link)
    for seed in (1, 5, 9):
        case = random_case(seed, CONFIG)
        x = random_codes(np.random.default_rng(seed), case.graph, FRAMES)
        np.save(tmp_path / "x.npy", x)
        (tmp_path / "model.img").write_bytes(case.image.to_bytes())
        for width in (max(case.graph.widths), min(case.graph.widths)):
            found = simulation.run(
                "downshift.sim.frames_ahead:frames_ahead",
                {
                    "image": str(tmp_path / "model.img"),
                    "inputs": str(tmp_path / "x.npy"),
                    "width": width,
                },
                tmp_path,
            )
            logits = golden.run(case.graph, x, width).logits.reshape(FRAMES, -1).tolist()
            assert found["alone"]["logits"] == found["ahead"]["logits"] == logits
            assert found["ahead"]["ns"] < 0.9 * found["alone"]["ns"]
