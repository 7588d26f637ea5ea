"""`downshift import`."""

from pathlib import Path

import click

from downshift.sw.cli.console import print_json, print_table
from downshift.sw.cli.options import json_option, widths_option

__all__ = ["import_model"]


@click.command(
    "import", epilog="Example: downshift import model.onnx --calibration images.npz --widths 8,4"
)
@click.argument("model", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    default=Path("model.safetensors"), show_default=True, help="Integer graph to write.",
)  # fmt: skip
@click.option(
    "--calibration", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Inputs like those that will come, as the model takes them: .npy, or .npz with x or "
    "train_x. Needed by float models, and for more than one width.",
)  # fmt: skip
@click.option(
    "--images", type=click.IntRange(min=1), default=256, show_default=True, metavar="N",
    help="Inputs to calibrate with.",
)  # fmt: skip
@widths_option
@click.option(
    "--range", "method", type=click.Choice(["min-max", "percentile", "mse"]), default="mse",
    show_default=True, help="How far the codes of maps reach.",
)  # fmt: skip
@click.option(
    "--no-bias-correction", is_flag=True,
    help="Leave biases as they are, though rounding moves what they are added to.",
)  # fmt: skip
@click.option(
    "--multiplier-width", type=click.Choice(["16", "24"]), metavar="BITS",
    help="Of what rescales sums: 16, or 24, which only accelerators with --tables can have.  "
    "[default: 24 for quantized files, to give the codes they give; otherwise 16]",
)  # fmt: skip
@click.option(
    "--sensitivity", is_flag=True, help="Measure what each layer alone does at each width."
)
@click.option(
    "--test", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Inputs and labels to judge each width by: .npz with test_x and test_y, or x and y.",
)  # fmt: skip
@json_option
def import_model(
    model, out, calibration, images, widths, method, no_bias_correction, multiplier_width,
    sensitivity, test, as_json,
):  # fmt: skip
    """Turn MODEL, an ONNX file of another tool, into an integer graph.

    Quantized files (QDQ, QOperator, QONNX) keep their numbers. Float ones are quantized by
    --calibration, and so are widths that a file was never trained for.
    """
    from downshift.hw.errors import DownshiftError
    from downshift.sim import golden
    from downshift.sw.graph.graph_file import save_graph
    from downshift.sw.importing.importer import (
        integer_graph,
        open_model,
        read_inputs,
        whole_network,
    )
    from downshift.sw.importing.quantize import input_codes
    from downshift.sw.importing.quantizer import Calibration
    from downshift.sw.importing.ranges import Range
    from downshift.sw.importing.sensitivity import layer_sensitivities

    translated = open_model(model)
    network = whole_network(translated)
    seen = None if calibration is None else read_inputs(calibration, network, images)
    graph = integer_graph(
        network,
        calibration=seen,
        assignments={width: width for width in widths} if widths else None,
        method=Range(method),
        correct_bias=not no_bias_correction,
        multiplier_width=int(multiplier_width) if multiplier_width else None,
    )
    sensitivities = ()
    if sensitivity:
        if seen is None:
            raise DownshiftError("--sensitivity needs inputs; give --calibration", exit_status=2)
        how = Calibration(
            images=seen.images, method=Range(method), correct_bias=not no_bias_correction
        )
        sensitivities = layer_sensitivities(network, how, graph.widths)
    shares = {}
    if test is not None:
        judged = read_inputs(test, network)
        if judged.labels is None:
            raise DownshiftError(f"{test} holds no labels; save them as test_y or y")
        codes = input_codes(graph, judged.images)
        for width in graph.widths:
            labels = golden.run(graph, codes, width, keep_codes=False).labels
            shares[width] = float((labels == judged.labels).mean())
    save_graph(graph, out)
    outcomes = [fate.outcome for fate in translated.fates]
    if as_json:
        print_json(
            {
                "graph": str(out),
                "layers": len(graph.layers),
                "macs": graph.macs,
                "nodes": len(outcomes),
                "widths": graph.widths,
                "accuracy": shares or None,
                "sensitivity": [
                    {
                        "layer": each.layer,
                        "noise": each.noise,
                        "agreement": each.agreement,
                        "least_width": each.least,
                    }
                    for each in sensitivities
                ],
            }
        )
        return
    click.echo(
        f"{graph.name}: {len(outcomes)} nodes became {len(graph.layers)} layers, {graph.macs:,} "
        f"MACs, widths {', '.join(map(str, graph.widths))}"
    )
    if sensitivities:
        lower = [width for width in graph.widths if width < 8]
        print_table(
            ["Layer", *(f"Noise at {width}" for width in lower), "Least width"],
            [
                [each.layer, *(f"{each.noise[width]:.1%}" for width in lower), each.least]
                for each in sensitivities
            ],
            title="What each layer alone adds to the logits, as a share of their variance",
        )
    for width, share in shares.items():
        click.echo(f"{width} bits: {share:.2%} correct")
    click.echo(out)
