"""The files that a network becomes on its way to a board."""

from downshift.hw.config import AcceleratorConfig
from downshift.hw.table_config import TableConfig
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.graph.graph_file import graph_bytes
from downshift.sw.graph.integer_graph import IntegerGraph

__all__ = ["GRAPH", "IMAGE", "model_files"]

GRAPH, IMAGE = "model.safetensors", "model.img"


def model_files(graph: IntegerGraph, config: AcceleratorConfig | TableConfig) -> dict[str, bytes]:
    """Compile a network, and give all that a host needs of it.

    Parameters
    ----------
    graph : IntegerGraph
    config : AcceleratorConfig or TableConfig
        Accelerator to compile for.

    Returns
    -------
    dict of str to bytes
        `GRAPH`, which runs anywhere, and `IMAGE`, which the accelerator loads, by file name.

    Raises
    ------
    DownshiftError
        If the accelerator cannot run the network.
    """
    return {GRAPH: graph_bytes(graph), IMAGE: compile_graph(graph, config).to_bytes()}
