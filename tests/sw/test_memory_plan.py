from itertools import combinations, pairwise

import numpy as np
import pytest

from downshift.hw.errors import DownshiftError
from downshift.sim.random_networks import random_network
from downshift.sw.compile.memory_plan import plan_maps


def overlap(a, b):
    return a.base < b.end and b.base < a.end


@pytest.mark.parametrize("lanes", [4, 8])
@pytest.mark.parametrize("seed", range(10))
def test_maps_lie_apart_while_all_fit(seed, lanes):
    graph = random_network(np.random.default_rng(seed))
    for width in graph.widths:
        maps = plan_maps(graph, width, lanes=lanes, capacity=1 << 16)
        assert [entry.shape for entry in maps] == list(graph.shapes)
        assert not any(overlap(a, b) for a, b in combinations(maps, 2))
        assert all(entry.pixel_bytes % lanes == 0 for entry in maps[1:])
        assert all(entry.base % lanes == 0 for entry in maps)


@pytest.mark.parametrize("seed", range(10))
def test_neighbours_never_share_memory(seed):
    graph = random_network(np.random.default_rng(seed))
    for width in graph.widths:
        spacious = plan_maps(graph, width, lanes=4, capacity=1 << 16)
        room = [-(-entry.size // 4) * 4 for entry in spacious]
        capacity = max(a + b for a, b in pairwise(room))
        maps = plan_maps(graph, width, lanes=4, capacity=capacity)
        assert not any(overlap(a, b) for a, b in pairwise(maps))
        assert max(entry.end for entry in maps) <= capacity
        with pytest.raises(
            DownshiftError,
            match=r": 4 too few; use an AcceleratorConfig with more activation_bytes$",
        ):
            plan_maps(graph, width, lanes=4, capacity=capacity - 4)


def test_maps_that_do_not_fit_name_layer_and_bytes():
    graph = random_network(np.random.default_rng(0))
    with pytest.raises(DownshiftError, match=r"^Layer layer0 at width 8 needs [\d,]+ bytes of act"):
        plan_maps(graph, 8, lanes=4, capacity=16)
