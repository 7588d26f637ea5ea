"""`downshift check`."""

from pathlib import Path

import click

from downshift.sw.cli.accelerator import accelerator_config
from downshift.sw.cli.console import print_json, print_table
from downshift.sw.cli.options import json_option

__all__ = ["check"]


@click.command(epilog="Example: downshift check model.onnx --json")
@click.argument("model", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def check(model, as_json):
    """Say what becomes of MODEL before anything is built, node by node.

    MODEL is an ONNX file of another tool, a checkpoint of `downshift train` or an integer graph
    (.safetensors). Shown are the fate of each node, the bounds of each layer's sums, and what the
    network takes of each board's memory. Exit status 1 if a node is refused.
    """
    from downshift.sw.cli.model_graph import model_graph

    if model.suffix in (".safetensors", ".pt"):
        fates, graph = (), model_graph(model, widths_file=None, dataset=None, data=None)
    else:
        fates, graph = _onnx_graph(model)
    refused = [fate for fate in fates if fate.outcome == "refused"]
    report = {
        "model": str(model),
        "nodes": [
            {"name": fate.node, "op": fate.op, "outcome": fate.outcome, "detail": fate.detail}
            for fate in fates
        ],
        "refused": len(refused),
        "parameters": None,
        "macs": None,
        "layers": [],
        "boards": [],
    }
    if graph is not None:
        report |= {
            "parameters": graph.weight_bytes,
            "macs": graph.macs,
            "layers": _layers(graph),
            "boards": _boards(graph),
        }
    if as_json:
        print_json(report)
    else:
        _print(report)
    return 1 if refused else 0


def _onnx_graph(path: Path):
    """Fates of a file's nodes, and its graph if none was refused."""
    import numpy as np

    from downshift.sw.importing.importer import integer_graph, open_model

    translated = open_model(path)
    if translated.refused:
        return translated.fates, None
    # Geometry and bounds do not hang on data: any will do for a file that has no scales, and which
    # gets all widths when it is imported.
    images = np.random.default_rng(0).normal(size=(2, *translated.network.input_shape))
    graph = integer_graph(
        translated.network,
        assignments=None if translated.network.input_codes is None else {8: 8},
        calibration=images.astype(np.float32),
        correct_bias=False,
    )
    return translated.fates, graph


def _layers(graph):
    """What each layer is, at the highest width."""
    from downshift.sw.graph.sum_bounds import sum_bounds

    width, entries = graph.widths[0], []
    for layer in graph.layers:
        least, largest = sum_bounds(graph, layer, width)
        entries.append(
            {
                "name": layer.name,
                "input": graph.shape_of(graph.source_of(layer)),
                "kernel": layer.kernel,
                "output": graph.shape_of(layer.name),
                "parameters": layer.weight.size,
                "macs": layer.macs(graph.shape_of(graph.source_of(layer))),
                "least_sum": least,
                "largest_sum": largest,
                "sum_bits": max(least.bit_length(), largest.bit_length()) + 1,
            }
        )
    return entries


def _boards(graph):
    """What the network takes of each board's accelerators, or why they cannot run it."""
    from downshift.boards import BOARDS
    from downshift.hw.errors import DownshiftError
    from downshift.sw.compile.compiler import compile_graph
    from downshift.sw.compile.memory_use import memory_use

    entries = []
    known = {}
    for board in BOARDS:
        configs = [("", accelerator_config(board.name, tables=False, graph=graph))]
        if board.family == "ecp5":
            configs.append((" --tables", accelerator_config(board.name, tables=True, graph=graph)))
        for option, config in configs:
            # Many boards have the same accelerator.
            if config not in known:
                try:
                    memory = memory_use(compile_graph(graph, config))
                except DownshiftError as error:
                    known[config] = {"fits": False, "reason": str(error), "memory": None}
                else:
                    known[config] = {"fits": True, "reason": None, "memory": memory}
            entries.append({"board": f"{board.name}{option}", **known[config]})
    return entries


def _print(report) -> None:
    """Show a report to people."""
    nodes = report["nodes"]
    if nodes:
        print_table(
            ["Node", "Operator", "Fate", "How"],
            [[each["name"], each["op"], each["outcome"], each["detail"]] for each in nodes],
        )
    if report["layers"]:
        print_table(
            ["Layer", "Input", "Kernel", "Output", "Weights", "MACs", "Bits of sums"],
            [
                [
                    each["name"], *("×".join(map(str, each[key]))
                                    for key in ("input", "kernel", "output")),
                    each["parameters"], each["macs"], each["sum_bits"],
                ]
                for each in report["layers"]
            ],
        )  # fmt: skip
        print_table(
            ["Board", "Weights", "Maps", "Parameters", "Program", "Fits"],
            [
                [
                    each["board"],
                    *(
                        "" if each["memory"] is None else f"{used / there:.0%}"
                        for used, there in (
                            (each["memory"] or {}).get(key, (0, 1))
                            for key in ("weights", "activations", "parameters", "program")
                        )
                    ),
                    each["reason"] or "yes",
                ]
                for each in report["boards"]
            ],
        )
        click.echo(f"{report['parameters']:,} weights, {report['macs']:,} MACs")
    if report["refused"]:
        click.echo(f"{report['refused']} of {len(nodes)} nodes are refused")
    elif nodes:
        click.echo(f"All {len(nodes)} nodes are supported")
