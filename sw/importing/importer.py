"""Import: an ONNX file to an integer graph, in one call."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.data.archives import DAMAGED
from downshift.sw.graph.integer_graph import IntegerGraph
from downshift.sw.importing.onnx_file import onnx_model, read_onnx
from downshift.sw.importing.quantize import quantize
from downshift.sw.importing.quantizer import Calibration
from downshift.sw.importing.ranges import Range
from downshift.sw.importing.real_layer import RealNetwork
from downshift.sw.importing.translate import Translated, translate

__all__ = [
    "Inputs",
    "import_graph",
    "in_map_order",
    "integer_graph",
    "open_model",
    "read_inputs",
    "whole_network",
]

NAMES = ("x", "train_x", "test_x")
LABELS = {"x": "y", "train_x": "train_y", "test_x": "test_y"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """Inputs of a network, and what they show if that is known."""

    images: np.ndarray
    """(n, height, width, channels)."""
    labels: np.ndarray | None = None
    """(n,)."""


def import_graph(
    model: Path | str | bytes, *, name: str | None = None, **options: Any
) -> IntegerGraph:
    """Turn an ONNX model into integers.

    Parameters
    ----------
    model : path or bytes
        ONNX file, or what it holds.
    name : str, optional
        Of the graph; by default that of the file.
    **options
        Of `integer_graph`.

    Returns
    -------
    IntegerGraph

    Raises
    ------
    DownshiftError
        If the file cannot be read, a node is not supported, or a calibration is needed; names the
        file and the node.

    Examples
    --------
    >>> import_graph(b"")
    Traceback (most recent call last):
    downshift.hw.errors.DownshiftError: not an ONNX file, or one without operations; export it again
    """
    return integer_graph(whole_network(open_model(model, name=name)), **options)


def open_model(model: Path | str | bytes, *, name: str | None = None) -> Translated:
    """Read and translate an ONNX model: the fate of every node, and the network they make.

    Parameters
    ----------
    model : path or bytes
        ONNX file, or what it holds.
    name : str, optional
        Of the network; by default that of the file.

    Raises
    ------
    DownshiftError
        If the file cannot be read.
    """
    if isinstance(model, bytes):
        onnx, provenance = onnx_model(model), {}
    else:
        onnx, provenance = read_onnx(model), {"file": Path(model).name}
        name = name or Path(model).stem
    translated = translate(onnx, name=name or "network")
    network = translated.network
    network.provenance = {
        **provenance, "producer": onnx.producer, "input_layout": "".join(network.given),
    }  # fmt: skip
    return translated


def integer_graph(
    network: RealNetwork,
    *,
    calibration: "np.ndarray | Inputs | None" = None,
    assignments: Mapping[int, int | Mapping[str, int]] | None = None,
    method: Range = Range.MSE,
    correct_bias: bool = True,
    multiplier_width: int | None = None,
) -> IntegerGraph:
    """Turn a network into integers.

    Parameters
    ----------
    network : RealNetwork
        As `open_model` gives it.
    calibration : Inputs, or array of shape (n, *shape of the file's input without its batch)
        Inputs like those that will come; needed for what the file has not quantized, and for more
        than one width.
    assignments : mapping of int to int or mapping of str to int, optional
        Widths, with what each means, as `quantize` takes it. By default 8, 6, 4 and 2 bits where
        there is a calibration, otherwise the width of the file's weights.
    method : Range
        How far codes reach.
    correct_bias : bool
        Let biases take up what rounding moves the mean of each channel by.
    multiplier_width : int, optional
        Bits of the multipliers that rescale sums. By default 24 where the file is quantized, which
        comes as near to what it computes as other runtimes do, and 16 where it is not.

    Returns
    -------
    IntegerGraph

    Raises
    ------
    DownshiftError
        If numbers are out of range, or a calibration is needed.
    """
    chosen = None
    if calibration is not None:
        in_order = isinstance(calibration, Inputs)
        images = calibration.images if in_order else in_map_order(network, calibration)
        chosen = Calibration(images=images, method=method, correct_bias=correct_bias)
    if assignments is None:
        assignments = {each: each for each in _default_widths(network, chosen)}
    return quantize(
        network,
        assignments=assignments,
        calibration=chosen,
        multiplier_width=multiplier_width or (16 if network.input_codes is None else 24),
        provenance=network.provenance,
    )


def whole_network(translated: Translated) -> RealNetwork:
    """The network, if every node could be translated.

    Raises
    ------
    DownshiftError
        Otherwise; names the first node that could not.
    """
    if translated.refused:
        first = translated.refused[0]
        raise DownshiftError(
            f"{len(translated.refused)} of {len(translated.fates)} nodes are not supported; the "
            f"first is {first.node} ({first.op}): {first.detail}; `downshift check` shows all"
        )
    return translated.network


def _default_widths(network: RealNetwork, calibration: Calibration | None) -> tuple[int, ...]:
    if calibration is not None:
        return (8, 6, 4, 2)
    weights = [8 if layer.stored is None else layer.stored.width for layer in network.layers]
    return (max([*weights, *(x.codes.width for x in network.layers if x.codes is not None)]),)


def in_map_order(network: RealNetwork, images: np.ndarray) -> np.ndarray:
    """Inputs as (n, height, width, channels), from the order of the file's axes or from that.

    Raises
    ------
    DownshiftError
        If they have another shape.
    """
    images, layout = np.asarray(images), list(network.given)
    given = tuple(network.given.values())
    maps = tuple(network.given.get(each, 1) for each in "hwc")
    if images.dtype.kind not in "biuf" or not len(images) or not np.isfinite(images).all():
        raise DownshiftError("Inputs must be finite numbers, and at least one")
    if images.shape[1:] == given:
        order = [1 + layout.index(each) for each in "hwc" if each in layout]
        return images.transpose(0, *order).reshape(len(images), *network.input_shape)
    if images.shape[1:] in (maps, maps[:2] if maps[2] == 1 else maps):
        return images.reshape(len(images), *network.input_shape)
    wanted = ", ".join(map(str, given))
    raise DownshiftError(f"Inputs must have the shape (n, {wanted}), not {images.shape}")


def read_inputs(path: Path, network: RealNetwork, most: int | None = None) -> Inputs:
    """Read inputs of a network.

    Parameters
    ----------
    path : Path
        ``.npy`` with inputs, or ``.npz`` with inputs ``x``, ``train_x`` or ``test_x`` and maybe
        labels ``y``, ``train_y`` or ``test_y``.
    network : RealNetwork
    most : int, optional
        Inputs to read.

    Raises
    ------
    DownshiftError
        If the file cannot be read, or does not hold inputs of the network; names the file.
    """
    labels = None
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded as archive:
                names = [name for name in NAMES if name in archive.files]
                if not names:
                    raise DownshiftError(
                        f"{path} holds none of the arrays {', '.join(NAMES)}; save inputs as x"
                    )
                images = archive[names[0]]
                if LABELS[names[0]] in archive.files:
                    labels = archive[LABELS[names[0]]]
                    labels = labels[:, 0] if labels.shape[1:] == (1,) else labels
        else:
            images = loaded
    except OSError as error:
        raise DownshiftError(
            f"Cannot read inputs {path}: {error.strerror or error}; check the path"
        ) from None
    except DAMAGED:
        raise DownshiftError(
            f"{path} is no .npy or .npz file of arrays; save one with numpy.savez(path, x=…)"
        ) from None
    if images.ndim < 2:
        raise DownshiftError(f"{path} must hold inputs of shape (n, …), not {images.shape}")
    try:
        images = in_map_order(network, images[:most])
    except DownshiftError as error:
        raise DownshiftError(f"{path}: {error}") from None
    if labels is not None and not (labels.ndim == 1 and labels.dtype.kind in "iu"):
        raise DownshiftError(
            f"{path} must hold one label of each input, integers from 0 on, not {labels.dtype} of "
            f"shape {labels.shape}"
        )
    if labels is not None and len(labels) < len(images):
        raise DownshiftError(f"{path} holds {len(labels)} labels for {len(images)} inputs")
    return Inputs(images=images, labels=None if labels is None else labels[: len(images)])
