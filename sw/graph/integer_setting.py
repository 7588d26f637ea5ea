"""The numbers of a layer from what its maps mean: the one step that ends the floats."""

from dataclasses import dataclass

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.hw.precision_switch import precision_switch
from downshift.sw.graph.fixed_point import MULTIPLIERS, fixed_point
from downshift.sw.graph.layer import LOGIT_WIDTH, Layer, Setting

__all__ = ["Codes", "integer_setting", "residual_shift_of"]


@dataclass(frozen=True, kw_only=True)
class Codes:
    """What the codes of a map mean: ``scale * (code - zero_point)``."""

    scale: float
    """Real value of one code; positive."""
    width: int
    """Bits of a code, 1…8."""
    zero_point: int = 0
    """Code of zero."""
    largest: int | None = None
    """Largest code, if that is less than its bits can hold."""


@np.errstate(all="ignore")  # what is not finite is refused below
def integer_setting(
    layer: Layer,
    *,
    where: str,
    weight_width: int,
    step,
    offset,
    entering: Codes,
    out: Codes | None,
    added: Codes | None = None,
    added_gain: np.ndarray | float = 1.0,
    pixels: int = 1,
    multiplier_width: int = 16,
    centred: bool = False,
    remedy: str = "train it again",
) -> Setting:
    """Turn the real numbers of a layer into integers.

    With ``step`` the real value of one in the sums, output scale ``s_o``::

        multiplier / 2**shift  =  m  =  step / s_o
        bias                   =  rhe(offset / step)

    The bias also takes off what zero points add to the sums. A residual of scale ``s_r`` counts
    ``rhe(2**r * gain * s_r / step)`` for each code, in sums that are shifted by r.

    Parameters
    ----------
    layer : Layer
        Its settings are not used.
    where : str
        Names the layer in errors.
    weight_width : int
        Bits of the running weights, 1…8.
    step : float64 array, shape (out_channels,)
        Positive.
    offset : float64 array, shape (out_channels,)
        Real value that is added to the sums.
    entering, added : Codes
        Of the map that enters, and of the residual.
    out : Codes or None
        None for logits.
    added_gain : float64 array, shape (out_channels,), or float
        What the residual is multiplied by.
    pixels : int
        That a layer which averages sums up.
    multiplier_width : int
        Bits of a multiplier, 16 or 24.
    centred : bool
        As of `Setting`.
    remedy : str
        What to do about scales that cannot be; part of errors.

    Returns
    -------
    Setting

    Raises
    ------
    DownshiftError
        If a scale is out of range or an accumulator could leave int32.
    """
    if not (np.all(step > 0) and np.all(np.isfinite(step)) and np.all(np.isfinite(offset))):
        raise DownshiftError(f"{where}: scales must be positive and finite; {remedy}")
    running = precision_switch(layer.weight, width=weight_width, centred=centred)
    running = running.reshape(layer.out_channels, -1).astype(np.float64)
    codes = ((1 << entering.width) - 1) * pixels
    low = np.minimum(running, 0).sum(axis=1) * codes
    high = np.maximum(running, 0).sum(axis=1) * codes
    absorbed = entering.zero_point * pixels * running.sum(axis=1)
    residual_multiplier, residual_shift = None, 0
    if added is not None:
        residual_shift = residual_shift_of(weight_width, entering.width)
        step = step / (1 << residual_shift)
        low, high, absorbed = (sums * (1 << residual_shift) for sums in (low, high, absorbed))
        counts = np.rint(added.scale * added_gain / step)
        if not np.all((counts >= 1) & (counts < 1 << 16)):
            raise DownshiftError(
                f"{where}: a code of the residual {layer.residual} would count {counts.min():.0f} "
                f"to {counts.max():.0f} times, 1 to 65,535 is possible; {remedy}"
            )
        high = high + counts * ((1 << added.width) - 1)
        absorbed = absorbed + counts * added.zero_point
        residual_multiplier = counts.astype(np.uint16)
    bias = np.rint(offset / step) - absorbed

    if out is None:
        out_width, zero_point = LOGIT_WIDTH, 0
        multiplier = np.zeros(layer.out_channels, MULTIPLIERS[multiplier_width])
        shift = np.zeros(layer.out_channels, np.uint8)
    else:
        out_width, zero_point = out.width, out.zero_point
        factor = step / out.scale
        try:
            multiplier, shift = fixed_point(factor, width=multiplier_width)
        except ValueError as error:
            raise DownshiftError(f"{where}: {str(error)[0].lower()}{str(error)[1:]}") from None
        # Beyond these every accumulator gives code 0, or the largest: what lies further is as good.
        least = -high - np.ceil(zero_point / factor)
        bias = np.clip(bias, least, np.ceil(((1 << out_width) - zero_point) / factor) - low)

    if not (np.all(low + np.minimum(bias, 0) >= -(2.0**31)) and np.all(high + bias < 2.0**31)):
        raise DownshiftError(
            f"{where}: accumulators may reach {np.max(np.maximum(high + bias, -low - bias)):.0f}, "
            f"beyond int32"
        )
    return Setting(
        weight_width=weight_width,
        in_width=entering.width,
        out_width=out_width,
        zero_point_in=entering.zero_point,
        zero_point_out=zero_point,
        bias=bias.astype(np.int32),
        multiplier=multiplier,
        shift=shift,
        residual_multiplier=residual_multiplier,
        residual_shift=residual_shift,
        centred=centred,
        largest=None if out is None else out.largest,
    )


def residual_shift_of(weight_width: int, in_width: int) -> int:
    """Bits by which sums are shifted for a residual: as high as accelerators have them anyway."""
    shift = 8 - max(weight_width, 2)
    return min(shift, 2) if in_width <= 2 else shift
