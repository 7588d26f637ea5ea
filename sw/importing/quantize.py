"""Real networks as integers: weights once, and for each width what data that was seen asks for."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.integer_graph import INPUT, IntegerGraph
from downshift.sw.importing.quantizer import TOP, Calibration, Quantizer
from downshift.sw.importing.real_layer import RealNetwork

__all__ = ["input_codes", "quantize"]


def quantize(
    network: RealNetwork,
    *,
    assignments: Mapping[int, int | Mapping[str, int]],
    calibration: Calibration | None = None,
    multiplier_width: int = 16,
    provenance: Mapping[str, str] | None = None,
) -> IntegerGraph:
    """Turn a network into integers.

    What the file has quantized already is kept where the width allows; everything else is chosen
    by the calibration images: layer by layer, on what the layers before it give as integers at
    that width.

    Parameters
    ----------
    network : RealNetwork
    assignments : mapping of int to int or mapping of str to int
        Widths of the graph, 1…8, each with what it means: a width of all layers, or of each by
        its name; layers that are left out have 8 bits.
    calibration : Calibration, optional
        Without it, everything must be quantized already, and only one width is possible.
    multiplier_width : int
        Bits of the multipliers that rescale sums, 16 or 24.
    provenance : mapping of str to str, optional
        Copied into the graph.

    Returns
    -------
    IntegerGraph

    Raises
    ------
    DownshiftError
        If numbers are out of range, or a calibration is needed.
    """
    _check_needs(network, assignments, calibration)
    quantizer = Quantizer(network, calibration, multiplier_width=multiplier_width)
    runs = {width: quantizer.run(width, means) for width, means in assignments.items()}
    entering = quantizer.entering
    offset = entering.zero_point * entering.scale + network.input_offset
    return IntegerGraph(
        name=network.name,
        input_shape=network.input_shape,
        input_scale=entering.scale / network.input_gain,
        input_offset=0.0 - offset / network.input_gain,
        layers=tuple(
            replace(
                layer, settings={width: run.settings[layer.name] for width, run in runs.items()}
            )
            for layer in quantizer.bare
        ),
        logit_scales={width: run.logit_scale for width, run in runs.items()},
        provenance=dict(provenance or {}),
    )


def input_codes(graph: IntegerGraph, images: np.ndarray) -> np.ndarray:
    """Codes of real inputs.

    Parameters
    ----------
    graph : IntegerGraph
    images : float array, shape (n, height, width, channels)

    Returns
    -------
    uint8 array, the shape of `images`
    """
    width, zero_point = graph.codes_of(INPUT, graph.widths[-1])
    zero = graph.input_offset + zero_point * graph.input_scale
    whole = np.rint((images - zero) / graph.input_scale) + zero_point
    return np.clip(whole, 0, (1 << width) - 1).astype(np.uint8)


def _check_needs(
    network: RealNetwork,
    assignments: Mapping[int, int | Mapping[str, int]],
    calibration: Calibration | None,
) -> None:
    names = [layer.name for layer in network.layers]
    for means in assignments.values():
        for name in means if isinstance(means, Mapping) else ():
            if name not in names:
                raise DownshiftError(
                    f"Network {network.name} has no layer {name!r:.60}; it has {names[0]} to "
                    f"{names[-1]}"
                )
    if calibration is not None:
        return
    open_maps = [layer.name for layer in network.layers[:-1] if layer.given_codes is None]
    if network.input_codes is None:
        open_maps.insert(0, INPUT)
    if open_maps:
        raise DownshiftError(
            f"The file does not say how {len(open_maps)} of {len(network.layers)} maps are "
            f"quantized, {open_maps[0]} among them; give inputs to calibrate with"
        )
    lower = min(
        min(means.values(), default=TOP) if isinstance(means, Mapping) else means
        for means in assignments.values()
    )
    for layer in network.layers:
        if layer.codes is not None and layer.codes.width > lower:
            raise DownshiftError(
                f"Layer {layer.name} has {layer.codes.width}-bit codes in the file; give inputs to "
                f"calibrate {lower}-bit ones with"
            )
    if len(assignments) > 1:
        raise DownshiftError(
            f"Scales at {len(assignments)} widths come from data; give inputs to calibrate with, "
            "or import one width alone"
        )
