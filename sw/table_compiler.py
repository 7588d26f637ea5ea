"""The compiler for the table style: an integer graph into stores of words."""

from dataclasses import replace

import numpy as np

from downshift.hw.conv_core import ConvLayer
from downshift.hw.descriptor import PROFILES, descriptor_words
from downshift.hw.errors import DownshiftError
from downshift.hw.fetch_layer import fetch_fields
from downshift.hw.residual import residual_fields
from downshift.hw.table_config import COLUMNS, ROWS, TableConfig
from downshift.hw.table_row import table_sum_width
from downshift.hw.tile_loader import loader_fields, stored_tiles
from downshift.hw.writer_layer import words_per_tile, writer_fields
from downshift.sw.image import Image
from downshift.sw.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph
from downshift.sw.table_parameters import layer_parameters, sum_shift
from downshift.sw.word_map import stored_width
from downshift.sw.word_memory import place_maps
from downshift.sw.word_plan import (
    Plan,
    Step,
    check_sizes,
    lane_columns,
    plan_words,
    slots_of,
)

__all__ = ["compile_tables"]

LOGIT_CYCLES = 8
"""Least cycles from one pixel of logits to the next."""


def compile_tables(graph: IntegerGraph, config: TableConfig) -> Image:
    """Compile a network for an accelerator of the table style, at all its widths.

    Parameters
    ----------
    graph : IntegerGraph
    config : TableConfig

    Returns
    -------
    Image

    Raises
    ------
    DownshiftError
        If the network does not fit (says what is short, and by how much), or a number of a layer
        has no place in the hardware (names the layer and width).
    """
    plans = _plans(graph, config, common=False)
    weights, weight_bases = _weights(plans, config)
    if len(weights) > config.weight_depth:
        plans = _plans(graph, config, common=True)
        weights, weight_bases = _weights(plans, config)
    _check_room(
        f"words of {ROWS * COLUMNS} weights", len(weights), config.weight_depth, "weight_depth"
    )
    parameters: list[bytes] = []
    program = [0] * PROFILES
    for width, plan in plans.items():
        program[width] = len(program)
        passes = []
        for step in plan.steps:
            if step.pool:
                passes.append(_pool_fields(plan, step))
                continue
            base = len(parameters)
            parameters += layer_parameters(plan, step, width, segments=config.segments)
            for rows in _bands(plan, step, config):
                fields = _conv_fields(plan, step, width, rows, config)
                fields["loader"]["base"] = weight_bases[
                    step.layer.name, plan.maps[step.source].group
                ]
                fields["parameters"] = {"base": base}
                passes.append(fields)
        passes[-1]["last"] = 1
        for fields in passes:
            program += descriptor_words(fields, ConvLayer)
    _check_room("words of program", len(program), config.program_depth, "program_depth")
    _check_room("channels' parameters", len(parameters), config.parameter_depth, "parameter_depth")

    return Image(
        config=config,
        network=graph.name,
        input_scale=graph.input_scale,
        macs=graph.macs,
        maps={
            width: tuple(
                plan.maps[name] for name in (INPUT, *(layer.name for layer in graph.layers))
            )
            for width, plan in plans.items()
        },
        program=np.array(program, "<u4").tobytes(),
        weights=weights.tobytes(),
        parameters=b"".join(parameters),
    )


def _plans(graph: IntegerGraph, config: TableConfig, *, common: bool) -> dict[int, Plan]:
    """A plan with places for each width."""
    plans = {}
    for width in graph.widths:
        plan = plan_words(graph, width, segments=config.segments, common=common)
        check_sizes(plan)
        plans[width] = place_maps(
            _with_logit_shift(plan, width, config.segments),
            capacity=config.activation_bytes,
            what=f"{graph.name} at width {width}",
        )
    return plans


def _check_room(what: str, needed: int, available: int, field: str) -> None:
    if needed > available:
        raise DownshiftError(
            f"The network needs {needed:,} {what}, the accelerator has {available:,}: "
            f"{needed - available:,} too few; use a TableConfig with more {field}"
        )


def _with_logit_shift(plan: Plan, width: int, segments: int) -> Plan:
    """The plan with logits where the sums stand."""
    step = plan.steps[-1]
    setting = step.layer.settings[width]
    in_lanes = plan.in_lanes(step, table_sum_width(segments))
    shift = sum_shift(setting, plan.maps[step.source], in_lanes=in_lanes)
    logits = replace(plan.maps[step.target], shift=shift)
    return replace(plan, maps={**plan.maps, step.target: logits})


def _weights(
    plans: dict[int, Plan], config: TableConfig
) -> tuple[np.ndarray, dict[tuple[str, int], int]]:
    """Content of the weight store, (words, rows, 3) int8, and the first word of each layer.

    Widths share the weights of a layer unless the map that enters has words of other channels.
    """
    parts: list[np.ndarray] = []
    bases: dict[tuple[str, int], int] = {}
    end = 0
    for plan in plans.values():
        for step in plan.steps:
            key = step.layer.name, plan.maps[step.source].group
            if step.pool or key in bases:
                continue
            part = stored_tiles(
                step.layer.weight,
                group=key[1],
                rows=ROWS,
                segments=config.segments,
                separate=step.layer.groups > 1,
            )
            bases[key] = end
            parts.append(part)
            end += len(part)
    return np.concatenate(parts), bases


def _field_words(plan: Plan, step: Step) -> int:
    """Words of a receptive field."""
    height, width = step.layer.kernel
    groups = 1 if step.layer.groups > 1 else plan.maps[step.source].layout.groups
    return height * width * groups


def _bands(plan: Plan, step: Step, config: TableConfig) -> list[range]:
    """Output rows of each pass: as many as the partial sums of all their pixels fit."""
    rows = plan.rows(step)
    if (
        step.whole
        or plan.in_lanes(step, table_sum_width(config.segments))
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


def _conv_fields(
    plan: Plan, step: Step, width: int, rows: range, config: TableConfig
) -> dict[str, dict]:
    """Descriptor of a pass over some rows of a layer."""
    layer, setting = step.layer, step.layer.settings[width]
    source, target = plan.maps[step.source], plan.maps[step.target]
    separate = layer.groups > 1
    mode = "keep" if step.whole else "separate" if separate else None
    tiles = -(-layer.out_channels // ROWS)
    logits = target.width == LOGIT_WIDTH
    act_width = stored_width(setting.in_width)
    slots = 1 if step.whole else slots_of(source)
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
            mode=mode,
        ),
        "loader": loader_fields(
            width=setting.weight_width,
            group=source.group,
            tiles=tiles,
            words=_field_words(plan, step),
            segments=config.segments,
            base=0,
            separate=separate,
        ),
        "array": {
            "pack": source.pack,
            "act_width": act_width,
            "cycles": max(act_width, LOGIT_CYCLES if logits else 4),
            "slots": slots.bit_length() - 1,
            "keep": step.whole,
            "out_max": 0 if logits else (1 << setting.out_width) - 1,
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
    if plan.in_lanes(step, table_sum_width(config.segments)):
        _put_in_lanes(fields, plan, step, rows)
    if step.residual is not None:
        added = plan.maps[step.residual]
        fields["residual"] = residual_fields(added.layout, rows=rows, base=added.base_word)
    return fields


def _put_in_lanes(fields: dict[str, dict], plan: Plan, step: Step, rows: range) -> None:
    """Change the descriptor of a depthwise layer into one for `DepthwiseLanes`."""
    layer, source, target = step.layer, plan.maps[step.source], plan.maps[step.target]
    columns = lane_columns(step, target)
    fields["separate"] = 1
    fields["fetch"] = fetch_fields(
        source.layout,
        kernel=(step.kernel[0], 1),
        stride=(step.stride[0], 1),
        padding=layer.padding,
        zero_point=source.zero_point,
        out_columns=columns,
        rows=rows,
        tiles=source.layout.groups,
        base=source.base_word,
        mode="pool",
    )
    fields["loader"].update(diagonal=0, plain=1, last_depth=0, last_chains=step.kernel[0])
    busy = [slots_of(source), words_per_tile(target.layout)]
    if target.width == LOGIT_WIDTH:
        busy.append(LOGIT_CYCLES)
    if step.residual is not None:
        busy.append(4)
    fields["lanes"] = {
        "last_row": step.kernel[0] - 1,
        "last_column": columns - 1,
        "stride": step.stride[1] - 1,
        "cycles": max(busy),
    }


def _pool_fields(plan: Plan, step: Step) -> dict[str, dict]:
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
