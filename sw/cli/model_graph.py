"""The network that a command is given: a checkpoint to be lowered, or an integer graph."""

from pathlib import Path

import click

from downshift.hw.errors import DownshiftError
from downshift.sw.cli.options import data_option

__all__ = ["model_graph", "optional_graph", "widths_file_options"]

WIDTHS_FILE = click.option(
    "--widths-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="What each width means, layer by layer, from `downshift search`; for a checkpoint.",
)  # fmt: skip
DATASET = click.option(
    "--dataset", metavar="NAME",
    help="What the checkpoint was trained on: mixed networks of --widths-file take the statistics "
    "of their batch norms from it.",
)  # fmt: skip


def widths_file_options(command):
    """Add the options of commands that take a checkpoint with widths of its layers."""
    for option in (data_option, DATASET, WIDTHS_FILE):
        command = option(command)
    return command


def model_graph(path: Path, *, widths_file: Path | None, dataset: str | None, data: Path | None):
    """Read a network.

    Parameters
    ----------
    path : Path
        Checkpoint of `downshift train`, or ``.safetensors``.
    widths_file : Path or None
        For a checkpoint.
    dataset : str or None
        Name of a data set; statistics of batch norms are taken from it, if there is one.
    data : Path or None
        Folder of data sets.

    Returns
    -------
    IntegerGraph

    Raises
    ------
    DownshiftError
        If a file cannot be read, or the files do not belong together.
    """
    from downshift.sw.graph.graph_file import load_graph

    if path.suffix == ".safetensors":
        if widths_file is not None:
            raise DownshiftError(
                f"{path} has its widths already; give --widths-file with the checkpoint"
            )
        return load_graph(path)
    if path.suffix == ".onnx":
        raise DownshiftError(f"{path} is a model of another tool; run `downshift import` first")
    from downshift.sw.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    if widths_file is None:
        return checkpoint.graph()
    from downshift.sw.data.named import load_dataset
    from downshift.sw.search.candidates import settled_graph
    from downshift.sw.search.widths_file import load_widths
    from downshift.sw.training.batches import as_learned

    assignments = load_widths(widths_file)
    images = load_dataset(dataset, folder=data) if dataset else None
    if images is not None:
        images = as_learned(images, checkpoint.config)
    return settled_graph(
        checkpoint.model,
        assignments,
        images,
        input_shape=checkpoint.input_shape,
        name=checkpoint.name,
    )


def optional_graph(
    path: Path | None, *, widths_file: Path | None, dataset: str | None, data: Path | None
):
    """Read a network as `model_graph` does, if there is one; None if there is none.

    Raises
    ------
    DownshiftError
        Also if there are widths, but no network.
    """
    if path is not None:
        return model_graph(path, widths_file=widths_file, dataset=dataset, data=data)
    if widths_file is not None:
        raise DownshiftError(f"{widths_file} is about a network; name its checkpoint, too")
    return None
