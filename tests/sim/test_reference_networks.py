"""The reference networks on the largest accelerator: every value of every layer against golden."""

import pytest

from downshift.hw.table_config import TableConfig
from downshift.sim.cycles import cycles
from downshift.sim.measure import measure
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.graph.reference_networks import REFERENCE_NETWORKS, reference_network
from downshift.sw.result_cache import ResultCache

ASSIGNMENTS = {
    "w8a8": [(8, 8)],
    "w6a6": [(6, 6)],
    "w4a4": [(4, 4)],
    "w2a2": [(2, 2)],
    "w8a4": [(8, 4)],
    "w4a8": [(4, 8)],
    "w7a7, w5a5, w3a3": [(7, 7), (5, 5), (3, 3)],
    "mixed": [(8, 8), (6, 6), (4, 4), (4, 2), (2, 4)],
}
"""Bits of the weights and of the codes of the layers, over and over."""


@pytest.fixture(scope="session")
def simulators(tmp_path_factory):
    return ResultCache(folder=tmp_path_factory.mktemp("simulators"))


@pytest.mark.slow
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
@pytest.mark.parametrize("network", REFERENCE_NETWORKS)
def test_equals_golden(network, assignment, simulators, check_counters, tmp_path):
    graph = reference_network(network, widths=(8,), mixed={8: ASSIGNMENTS[assignment]})
    image = compile_graph(graph, TableConfig())
    frame = measure(graph, {8: image}, tmp_path, simulators)[8]
    predicted = cycles(image, 8)
    values = frame.compared + sum(layer.compared for layer in frame.layers.values())
    print(
        f"\n{network} {assignment}: {values:,} values, {frame.counters.cycles:,} cycles, "
        f"{predicted.total:,} due"
    )
    assert values > 1000
    assert frame.mismatches == 0
    assert [layer.mismatches for layer in frame.layers.values()] == [0] * len(frame.layers)
    check_counters(frame.counters, predicted)
