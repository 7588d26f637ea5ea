"""What a layer of the integer graph must be, whatever network it is in."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.hw.precision_switch import CENTRED_WIDTH
from downshift.sw.graph.fixed_point import MULTIPLIERS, multiplier_width
from downshift.sw.graph.layer import LOGIT_WIDTH, Layer, Setting

__all__ = ["check_layer", "check_setting"]

MAX_SHIFT = 63
MAX_RESIDUAL_SHIFT = 6


def check_layer(
    layer: Layer, shapes: Mapping[str, tuple[int, int, int]], source: str
) -> tuple[int, int, int]:
    """Check that the maps a layer takes fit its weights.

    Parameters
    ----------
    layer : Layer
    shapes : mapping of str to (height, width, channels)
        Of the maps before it.
    source : str
        Map that enters.

    Returns
    -------
    (height, width, channels)
        Shape of the output.

    Raises
    ------
    DownshiftError
        Names the layer.
    """
    where, shape = f"Layer {layer.name}", shapes[source]
    if layer.weight.dtype != np.int8 or layer.weight.ndim != 4 or not layer.weight.size:
        raise DownshiftError(
            f"{where}: weight must be int8 of 4 dimensions, "
            f"not {layer.weight.dtype} of shape {layer.weight.shape}"
        )
    if layer.groups != 1 and not layer.groups == layer.in_channels == layer.out_channels:
        raise DownshiftError(
            f"{where}: groups must be 1 or the channels of input and output, not {layer.groups} "
            f"with {layer.in_channels} and {layer.out_channels} channels"
        )
    steps = [*layer.stride, *(layer.pool.size + layer.pool.stride if layer.pool else ())]
    if min(steps) < 1 or min(layer.padding) < 0:
        raise DownshiftError(f"{where}: strides and windows must be positive, padding not negative")
    if layer.in_channels != shape[2]:
        raise DownshiftError(
            f"{where} expects {layer.in_channels} input channels, the map {source} has {shape[2]}"
        )
    if layer.padding[0] >= layer.kernel[0] or layer.padding[2] >= layer.kernel[1]:
        raise DownshiftError(f"{where}: padding {layer.padding} exceeds the kernel {layer.kernel}")
    if layer.average:
        _check_average(layer)
    out = layer.out_shape(shape)
    if min(out) < 1 or min(layer.conv_shape(shape)) < 1:
        raise DownshiftError(f"{where}: an input of shape {shape} is too small for its windows")
    if layer.residual is not None:
        _check_residual(layer, out, shapes[layer.residual])
    return out


def _check_average(layer: Layer) -> None:
    rules = (
        ("kernel", layer.kernel, (1, 1)),
        ("stride", layer.stride, (1, 1)),
        ("padding", layer.padding, (0, 0, 0, 0)),
        ("pool", layer.pool, None),
        ("groups", layer.groups, 1),
    )
    for what, given, rule in rules:
        if given != rule:
            raise DownshiftError(
                f"Layer {layer.name} averages, so its {what} must be {rule}, not {given}"
            )


def _check_residual(layer: Layer, out: tuple[int, ...], added: tuple[int, ...]) -> None:
    if layer.pool is not None:
        raise DownshiftError(f"Layer {layer.name} adds a residual, so it cannot have a pool")
    if added != out:
        raise DownshiftError(
            f"Layer {layer.name} gives a map of shape {out}, its residual {layer.residual} has "
            f"{added}; make them equal by a convolution on the residual"
        )


def check_setting(layer: Layer, width: int, setting: Setting, *, last: bool) -> None:
    """Check the numbers of one layer at one width.

    Parameters
    ----------
    layer : Layer
    width : int
        Of the network.
    setting : Setting
    last : bool
        Whether the layer gives logits.

    Raises
    ------
    DownshiftError
        Names the layer and the width.
    """
    where = f"Layer {layer.name} at width {width}"
    if not 1 <= setting.weight_width <= 8 or not 1 <= setting.in_width <= 8:
        raise DownshiftError(
            f"{where}: weights and input must have 1 to 8 bits, "
            f"not {setting.weight_width} and {setting.in_width}"
        )
    if setting.centred and setting.weight_width != CENTRED_WIDTH:
        raise DownshiftError(
            f"{where}: centred weights have {CENTRED_WIDTH} bits, not {setting.weight_width}"
        )
    _check_array(where, "bias", setting.bias, layer.out_channels, np.int32)
    _check_array(where, "multiplier", setting.multiplier, layer.out_channels, *MULTIPLIERS.values())
    _check_array(where, "shift", setting.shift, layer.out_channels, np.uint8)
    if not 0 <= setting.zero_point_in < 1 << setting.in_width:
        raise DownshiftError(f"{where}: input zero point {setting.zero_point_in} out of range")
    _check_residual_setting(where, layer, setting)
    if last:
        if setting.out_width != LOGIT_WIDTH:
            raise DownshiftError(f"{where}: the last layer gives logits, not codes")
        if layer.pool is not None:
            raise DownshiftError(f"{where}: logits cannot be pooled")
        return
    if not 1 <= setting.out_width <= 8:
        raise DownshiftError(
            f"{where}: codes must have 1 to 8 bits, not {setting.out_width}; "
            "only the last layer gives logits"
        )
    if not 0 <= setting.zero_point_out < 1 << setting.out_width:
        raise DownshiftError(f"{where}: output zero point {setting.zero_point_out} out of range")
    if setting.largest is not None and not (
        max(setting.zero_point_out, 1) <= setting.largest < 1 << setting.out_width
    ):
        raise DownshiftError(f"{where}: largest code {setting.largest} out of range")
    if setting.shift.max() > MAX_SHIFT:
        raise DownshiftError(
            f"{where}: shift must be at most {MAX_SHIFT}, not {setting.shift.max()}"
        )
    bits = multiplier_width(setting.multiplier)
    least, most = 1 << bits - 1, (1 << bits) - 1
    if setting.multiplier.min() < least or setting.multiplier.max() > most:
        raise DownshiftError(f"{where}: multipliers must be normalised to {least}..{most}")


def _check_residual_setting(where: str, layer: Layer, setting: Setting) -> None:
    multiplier, shift = setting.residual_multiplier, setting.residual_shift
    if layer.residual is None:
        if multiplier is not None or shift != 0:
            raise DownshiftError(
                f"{where}: residual multipliers and shift are for a layer with a residual; "
                "give it one, or leave them out"
            )
        return
    if multiplier is None:
        raise DownshiftError(f"{where}: a layer with a residual needs residual multipliers")
    _check_array(where, "residual_multiplier", multiplier, layer.out_channels, np.uint16)
    if multiplier.min() < 1:
        raise DownshiftError(f"{where}: residual multipliers must be at least 1, not 0")
    if not 0 <= shift <= MAX_RESIDUAL_SHIFT:
        raise DownshiftError(
            f"{where}: residual shift must be in 0..{MAX_RESIDUAL_SHIFT}, not {shift}"
        )


def _check_array(where: str, name: str, array: np.ndarray, channels: int, *kinds: Any) -> None:
    if array.dtype not in kinds or array.shape != (channels,):
        raise DownshiftError(
            f"{where}: {name} must be {' or '.join(str(np.dtype(kind)) for kind in kinds)} of "
            f"shape ({channels},), not {array.dtype} of shape {array.shape}"
        )
