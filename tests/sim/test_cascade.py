"""The accelerator chooses between two widths by itself, over each link."""

import numpy as np
import pytest

from downshift.hw.config import AcceleratorConfig
from downshift.hw.logit_margin import logit_margin
from downshift.sim import golden
from downshift.sim.cycles import cycles
from downshift.sim.random_networks import random_case
from downshift.sim.runner import AXI, UART
from downshift.sw.device.cascade import can_cascade

CONFIG = AcceleratorConfig(
    rows=4, requantizers=1, weight_depth=1024, activation_bytes=8192, parameter_depth=512
)


def drawn():
    """Networks whose input two widths share, and one whose input they do not."""
    able, unable = [], None
    for seed in range(1, 200):
        case = random_case(seed, CONFIG)
        pairs = [
            (first, second)
            for first in case.graph.widths
            for second in case.graph.widths
            if first < second and can_cascade(case.image, first, second)
        ]
        if pairs:
            able.append((case, pairs))
        else:
            unable = unable or (case, [sorted(case.graph.widths)[:2]])
        if len(able) == 4 and unable:
            return [*able, unable]
    raise AssertionError


@pytest.mark.parametrize("link", [UART, AXI], ids=["uart", "axi"])
def test_cascades_are_those_of_the_host(simulator, tmp_path, link):
    simulation = simulator(CONFIG, link)
    raised = []
    for case, pairs in drawn():
        np.save(tmp_path / "x.npy", case.x)
        (tmp_path / "model.img").write_bytes(case.image.to_bytes())
        logits = {w: golden.run(case.graph, case.x, w).logits for w in case.graph.widths}
        schedule = []
        for first, second in pairs:
            for index in range(len(case.x)):
                margin = logit_margin(logits[first][index].reshape(-1).tolist())
                near = min(margin, 1 << 23)
                schedule += [(index, first, second, each) for each in {0, near, near + 1}]
        files = {"image": str(tmp_path / "model.img"), "inputs": str(tmp_path / "x.npy")}
        found = simulation.run(
            "downshift.sim.cascades:cascades", files | {"schedule": schedule}, tmp_path
        )
        within = can_cascade(case.image, *pairs[0])
        for (index, first, second, threshold), frame in zip(schedule, found, strict=True):
            margin = logit_margin(logits[first][index].reshape(-1).tolist())
            widths = [first, second] if margin < threshold else [first]
            assert frame["widths"] == widths
            assert frame["logits"] == logits[widths[-1]][index].reshape(-1).tolist()
            assert frame["cycles"] == sum(cycles(case.image, width).total for width in widths)
            assert frame["within"] == within
            raised.append((within, len(widths)))
    assert {(True, 1), (True, 2), (False, 1), (False, 2)} == set(raised)
