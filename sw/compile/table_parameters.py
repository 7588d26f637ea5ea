"""Parameters of the table style: biases and scales for sums as its array gives them."""

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.hw.mac import accumulator_bounds
from downshift.hw.parameter_loader import BIAS_WIDTH, stored_row, stored_rows
from downshift.hw.rescale import shifts
from downshift.hw.slot_row import lane_width
from downshift.hw.table import QUARTERS, table_offset, table_scale
from downshift.hw.table_config import ROWS, TableConfig
from downshift.hw.table_row import table_sum_width
from downshift.sw.compile.word_map import WordMap, stored_width
from downshift.sw.compile.word_plan import Mode, Plan
from downshift.sw.compile.word_step import Step, slots_of
from downshift.sw.graph.fixed_point import multiplier_width
from downshift.sw.graph.layer import LOGIT_WIDTH, Setting

__all__ = ["layer_parameters", "sum_shift"]


def sum_shift(setting: Setting, source: WordMap, *, mode: Mode | None) -> int:
    """Bits by which the sums of the array stand higher than those of the integer graph.

    In lanes, codes stand as high in their byte as weights do.
    """
    in_lanes = mode in ("column", "dense")
    scale = table_scale(weight_width=setting.weight_width, pack=source.pack)
    codes = 8 - stored_width(setting.in_width) if in_lanes else 0
    return scale.bit_length() - 1 + codes


def layer_parameters(plan: Plan, step: Step, width: int, *, config: TableConfig) -> list[bytes]:
    """Rows of the parameter store for a layer, whole tiles of output channels.

    Sums of the array are multiples of `table_scale`, have the offset of its tables, and where all
    pixels become one, also the zero points of places without a pixel: the bias takes both off.
    Sums of lanes have an offset of half their range for each vector.

    Parameters
    ----------
    plan : Plan
    step : Step
        Not a pool.
    width : int
        Of the network.
    config : TableConfig
        Multiplies by at least as many bits as the layer asks for.

    Raises
    ------
    DownshiftError
        If a sum or a scale has no place in the hardware; names the layer and width.
    """
    layer, setting = step.layer, step.layer.settings[width]
    source = plan.maps[step.source]
    where = f"Layer {layer.name} at width {width}"
    mode = plan.mode(step)
    shift = sum_shift(setting, source, mode=mode)
    lift = shift - setting.residual_shift
    if lift < 0:
        raise DownshiftError(
            f"{where}: sums would have to be shifted by {setting.residual_shift} bits for the "
            f"residual, they stand {shift} bits high; use a smaller residual shift"
        )
    bias = setting.bias.astype(np.int64) << lift
    residual = np.zeros(layer.out_channels, np.int64)
    if setting.residual_multiplier is not None:
        residual = setting.residual_multiplier.astype(np.int64) << lift
        if residual.max() >= 1 << 16:
            raise DownshiftError(
                f"{where}: a code of the residual counts {residual.max():,} times, the accelerator "
                "multiplies by up to 65,535; use a smaller residual multiplier"
            )
    running = setting.running(layer.weight)
    running = running.reshape(layer.out_channels, -1).astype(np.int64)
    reach = _checked_reach(step, setting, plan, running << shift, bias, residual, where)

    words = layer.kernel[0] * layer.kernel[1]
    words *= 1 if layer.groups > 1 else source.layout.groups
    segments = config.segments
    depth = -(-words // segments)
    offset = depth * table_offset(
        act_width=stored_width(setting.in_width), pack=source.pack, segments=segments
    )
    half = 1 << lane_width(table_sum_width(segments)) - 1
    if mode == "column":
        bias = bias - half
    elif mode == "dense":
        bias = bias - depth * half
    elif step.whole:
        height, columns, _ = source.shape
        places = source.strip * columns
        blank = (places * slots_of(source) - height * columns) * setting.zero_point_in
        bias = bias - offset * QUARTERS * places - blank * (running.sum(axis=1) << shift)
    else:
        bias = bias - offset * (QUARTERS // slots_of(source))

    bits = config.multiplier_width
    finer, possible = bits - (multiplier_width(setting.multiplier) or bits), shifts(bits)
    multiplier = setting.multiplier.astype(np.int64) << finer
    scale = setting.shift.astype(int) + lift + finer
    if setting.out_width != LOGIT_WIDTH and scale.min() < possible.start:
        raise DownshiftError(
            f"{where}: scales must be below {1 << bits - possible.start + lift}, one is "
            f"{(setting.multiplier / 2.0**setting.shift).max():.6g}; use a coarser output scale"
        )
    _check_small(scale, multiplier, reach, possible[-1], where)
    # A larger shift leaves nothing of any sum either.
    scale = np.clip(scale, possible[0], possible[-1])
    rows = [
        stored_row(bias=b, multiplier=m, shift=s, residual=r, multiplier_width=bits)
        for b, m, s, r in zip(bias, multiplier, scale, residual, strict=True)
    ]
    blank_row = stored_row(bias=0, multiplier=0, shift=possible[0], multiplier_width=bits)
    rows += [blank_row] * (-len(rows) % ROWS)
    return stored_rows(rows, tile=ROWS)


def _checked_reach(step, setting, plan, weights, bias, residual, where) -> np.ndarray:
    """Largest magnitude of each complete sum, which has to fit; incomplete ones may wrap."""
    height, columns, _ = plan.maps[step.source].shape
    pixels = height * columns if step.whole else 1
    largest = ((1 << setting.in_width) - 1) * pixels
    low, high = accumulator_bounds(weights, activation_max=largest)
    low, high = low + bias, high + bias
    if step.residual is not None:
        high = high + residual * ((1 << plan.maps[step.residual].width) - 1)
    if low.min() < -(1 << BIAS_WIDTH - 1) or high.max() >= 1 << BIAS_WIDTH - 1:
        raise DownshiftError(
            f"{where}: sums may reach {low.min():,} … {high.max():,}, beyond {BIAS_WIDTH} bits; "
            "use fewer inputs per output or smaller biases"
        )
    return np.maximum(-low, high)


def _check_small(
    scale: np.ndarray, multiplier: np.ndarray, reach: np.ndarray, last: int, where: str
) -> None:
    """Refuse scales that are too small to be held, but not so small that all codes are alike."""
    if np.any((scale > last) & (reach * multiplier.astype(np.float64) > 2.0 ** (last - 1))):
        raise DownshiftError(
            f"{where}: a scale is below {2.0**-28:.3g} of its sums; use a finer output scale"
        )
