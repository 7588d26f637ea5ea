"""Descriptors of the table style: what each pass of a plan is told."""

from downshift.hw.errors import DownshiftError
from downshift.hw.fetch_layer import fetch_fields
from downshift.hw.precision_switch import switch_code
from downshift.hw.residual import residual_fields
from downshift.hw.table_config import ROWS, TableConfig
from downshift.hw.tile_loader import loader_fields
from downshift.hw.writer_layer import words_per_tile, writer_fields
from downshift.sw.compile.word_map import stored_width
from downshift.sw.compile.word_plan import Plan
from downshift.sw.compile.word_step import Step, lane_columns, slots_of
from downshift.sw.graph.layer import LOGIT_WIDTH

__all__ = ["bands", "conv_fields", "pool_fields"]

LOGIT_CYCLES = 16
"""Least cycles from one pixel of logits to the next, of as many vectors as are added up to it."""
KEEP_CYCLES = 4
"""Least cycles from one vector to the next if both are added to the same sum."""


def _field_words(plan: Plan, step: Step) -> int:
    """Words of a receptive field."""
    height, width = step.layer.kernel
    groups = 1 if step.layer.groups > 1 else plan.maps[step.source].layout.groups
    return height * width * groups


def bands(plan: Plan, step: Step, config: TableConfig) -> list[range]:
    """Output rows of each pass: as many as the partial sums of all their pixels fit."""
    rows = plan.rows(step)
    if (
        step.whole
        or plan.mode(step) in ("column", "dense")
        or _field_words(plan, step) <= config.segments
    ):
        return [range(rows)]
    sums = plan.maps[step.target].shape[1] * slots_of(plan.maps[step.source])
    most = config.sum_depth // sums
    if most == 0:
        raise DownshiftError(
            f"Layer {step.layer.name} has {sums} sums in a row, the accelerator holds "
            f"{config.sum_depth}; use a TableConfig with more sum_depth"
        )
    return [range(first, min(first + most, rows)) for first in range(0, rows, most)]


def conv_fields(
    plan: Plan, step: Step, width: int, rows: range, config: TableConfig
) -> dict[str, dict]:
    """Descriptor of a pass over some rows of a layer."""
    layer, setting = step.layer, step.layer.settings[width]
    source, target = plan.maps[step.source], plan.maps[step.target]
    mode = plan.mode(step)
    tiles = -(-layer.out_channels // ROWS)
    logits = target.width == LOGIT_WIDTH
    act_width = stored_width(setting.in_width)
    slots = 1 if step.whole else slots_of(source)
    least = KEEP_CYCLES if step.whole else max(slots, words_per_tile(target.layout))
    if logits:
        vectors = source.strip * source.shape[1] if step.whole else 1
        least = max(least, -(-LOGIT_CYCLES // vectors))
    fields = {
        "fetch": fetch_fields(
            source.layout,
            kernel=step.kernel,
            stride=step.stride,
            padding=layer.padding,
            zero_point=setting.zero_point_in,
            out_columns=source.shape[1] if step.whole else target.shape[1],
            rows=range(source.strip) if step.whole else rows,
            tiles=tiles,
            base=source.base_word,
            mode="keep" if step.whole else "separate" if layer.groups > 1 else None,
        ),
        "loader": loader_fields(
            width=switch_code(setting.weight_width, centred=setting.centred),
            group=source.group,
            tiles=tiles,
            words=_field_words(plan, step),
            segments=config.segments,
            base=0,
            mode=mode,
        ),
        "array": {
            "pack": source.pack,
            "act_width": act_width,
            "cycles": max(act_width, least),
            "slots": slots.bit_length() - 1,
            "keep": step.whole or mode == "dense",
            "out_max": 0 if logits else setting.out_max,
        },
        "writer": writer_fields(
            target.layout,
            strip=plan.rows(step),
            slots=slots,
            zero_point=setting.zero_point_out,
            base=target.base_word,
            rows=rows,
        ),
    }
    if mode == "dense":
        fields |= {"separate": 1, "lanes": {"dense": 1}}
    elif mode == "column":
        fields |= {"separate": 1, **_column_fields(plan, step, rows)}
    if step.residual is not None:
        added = plan.maps[step.residual]
        fields["residual"] = residual_fields(added.layout, rows=rows, base=added.base_word)
    return fields


def _column_fields(plan: Plan, step: Step, rows: range) -> dict[str, dict]:
    """What the lanes are told of a depthwise layer, and the fetch, column by column."""
    source, target = plan.maps[step.source], plan.maps[step.target]
    columns = lane_columns(step, target.shape)
    fetch = fetch_fields(
        source.layout,
        kernel=(step.kernel[0], 1),
        stride=(step.stride[0], 1),
        padding=step.layer.padding,
        zero_point=source.zero_point,
        out_columns=columns,
        rows=rows,
        tiles=source.layout.groups,
        base=source.base_word,
        mode="pool",
    )
    busy = [slots_of(source), words_per_tile(target.layout)]
    if target.width == LOGIT_WIDTH:
        busy.append(LOGIT_CYCLES)
    if step.residual is not None:
        busy.append(4)
    lanes = {
        "last_row": step.kernel[0] - 1,
        "last_column": columns - 1,
        "stride": step.stride[1] - 1,
        "cycles": max(busy),
    }
    return {"fetch": fetch, "lanes": lanes}


def pool_fields(plan: Plan, step: Step) -> dict[str, dict]:
    """Descriptor of a pass that pools."""
    source, target = plan.maps[step.source], plan.maps[step.target]
    layout = source.layout
    return {
        "pool": 1,
        "fetch": fetch_fields(
            layout,
            kernel=step.kernel,
            stride=step.stride,
            padding=(0, 0, 0, 0),
            zero_point=0,
            out_columns=target.shape[1],
            rows=range(target.strip),
            tiles=layout.groups,
            base=source.base_word,
            mode="pool",
        ),
        "writer": {
            "pack": source.pack,
            "base": target.base_word,
            "groups": target.layout.groups,
        },
    }
