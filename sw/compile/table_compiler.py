"""The compiler for the table style: an integer graph into stores of words."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

import numpy as np

from downshift.hw.conv_layer import ConvLayer
from downshift.hw.descriptor import PROFILES, descriptor_words
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import COLUMNS, ROWS, TableConfig
from downshift.hw.weight_tiles import dense_tiles, stored_tiles
from downshift.sw.compile.image import Image
from downshift.sw.compile.input_fold import fold_input, folded_graph
from downshift.sw.compile.table_parameters import layer_parameters, sum_shift
from downshift.sw.compile.table_passes import bands, conv_fields, pool_fields
from downshift.sw.compile.word_choice import LIBERTIES, Liberty
from downshift.sw.compile.word_memory import place_maps
from downshift.sw.compile.word_plan import Plan, check_sizes, plan_words
from downshift.sw.graph.integer_graph import INPUT, IntegerGraph

__all__ = ["compile_tables"]


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
    fold = fold_input(graph, segments=config.segments)
    if fold is not None:
        # What does not fit so may yet fit as it is.
        with suppress(DownshiftError):
            image = _compiled(folded_graph(graph, fold), config)
            return replace(image, macs=graph.macs, input_fold=fold)
    return _compiled(graph, config)


def _compiled(graph: IntegerGraph, config: TableConfig) -> Image:
    """Compile a network as it is."""
    plans, weights, weight_bases = _fitting(graph, config)
    parameters: list[bytes] = []
    program = [0] * PROFILES
    for width, plan in plans.items():
        program[width] = len(program)
        passes = []
        for step in plan.steps:
            if step.pool:
                passes.append(pool_fields(plan, step))
                continue
            base = len(parameters)
            parameters += layer_parameters(plan, step, width, config=config)
            for rows in bands(plan, step, config):
                fields = conv_fields(plan, step, width, rows, config)
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
        input_offset=graph.input_offset,
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


def _fitting(graph: IntegerGraph, config: TableConfig) -> tuple[dict[int, Plan], np.ndarray, dict]:
    """Plans with as many liberties as there is memory for, and their weights."""
    for count in range(len(LIBERTIES), -1, -1):
        try:
            plans = _plans(graph, config, LIBERTIES[:count])
            weights, bases = _weights(plans, config)
            what = f"words of {ROWS * COLUMNS} weights"
            _check_room(what, len(weights), config.weight_depth, "weight_depth")
            return plans, weights, bases
        except DownshiftError as error:
            refused = error
    raise refused


def _plans(
    graph: IntegerGraph, config: TableConfig, liberties: Collection[Liberty]
) -> dict[int, Plan]:
    """A plan with places for each width."""
    plans = {}
    for width in graph.widths:
        plan = plan_words(graph, width, segments=config.segments, liberties=liberties)
        check_sizes(plan)
        plans[width] = place_maps(
            _with_logit_shift(plan, width),
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


def _with_logit_shift(plan: Plan, width: int) -> Plan:
    """The plan with logits where the sums stand."""
    step = plan.steps[-1]
    setting = step.layer.settings[width]
    shift = sum_shift(setting, plan.maps[step.source], mode=plan.mode(step))
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
            shape = {"rows": ROWS, "segments": config.segments}
            if plan.mode(step) == "dense":
                part = dense_tiles(step.layer.weight, **shape)
            else:
                separate = step.layer.groups > 1
                part = stored_tiles(step.layer.weight, group=key[1], separate=separate, **shape)
            bases[key] = end
            parts.append(part)
            end += len(part)
    return np.concatenate(parts), bases
