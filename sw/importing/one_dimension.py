"""Operators over one dimension: those over two, on maps of one row."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from downshift.sw.importing.attributes import integers
from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.translation import Translation
from downshift.sw.importing.values import ConstantValue, MapValue, Value

__all__ = ["WINDOWED", "over_one_dimension"]

Operator = Callable[[Translation, Node], tuple[Value, str]]

WINDOWED = frozenset(
    ("AveragePool", "Conv", "ConvInteger", "GlobalAveragePool", "MaxPool", "QLinearAveragePool",
     "QLinearConv", "QLinearGlobalAveragePool")
)  # fmt: skip
"""Operators whose maps have as many dimensions as their kernels, and two more."""


def over_one_dimension(operator: Operator) -> Operator:
    """The operator of a node of `WINDOWED`, for maps of columns and channels as well."""

    def either(t: Translation, node: Node) -> tuple[Value, str]:
        given = t.value(node, 0)
        if not isinstance(given, MapValue) or len(given.axes) != 3:
            return operator(t, node)
        value, detail = operator(t, _with_rows(t, node))
        return _without_rows(value), detail

    return either


def _with_rows(t: Translation, node: Node) -> Node:
    """The same node over two dimensions, whose tensors `t` then has too."""
    inputs = list(node.inputs)
    for index, name in enumerate(inputs):
        value = t.value(node, index)
        if isinstance(value, MapValue) and len(value.axes) == 3:
            images, channels, columns = value.axes
            lifted: Value = value.turned((images, channels, (), columns))
        elif isinstance(value, ConstantValue) and value.array.ndim == 3:
            lifted = _lifted(value)
        else:
            continue
        inputs[index] = f"{name} with rows"
        t.values[inputs[index]] = lifted
        t.uses[inputs[index]] = t.uses[name]
    attributes = dict(node.attributes)
    for name in {"kernel_shape", "strides", "dilations"} & set(attributes):
        attributes[name] = [1, *integers(node, name, (1,), 1)]
    if "pads" in attributes:
        first, last = integers(node, "pads", (0, 0))
        attributes["pads"] = [0, first, 0, last]
    return replace(node, inputs=tuple(inputs), attributes=attributes)


def _without_rows(value: Value) -> Value:
    """What the node gives, over one dimension again."""
    if not isinstance(value, MapValue) or len(value.axes) != 4:
        return value
    images, channels, _, columns = value.axes
    return value.turned((images, channels, columns))


def _lifted(value: ConstantValue) -> ConstantValue:
    stored = value.stored
    if stored is not None:
        scale = stored.scale if stored.scale.ndim != 3 else np.expand_dims(stored.scale, 2)
        stored = replace(stored, codes=np.expand_dims(stored.codes, 2), scale=scale)
    return replace(value, array=np.expand_dims(value.array, 2), stored=stored)
