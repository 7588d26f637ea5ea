"""Operations between constants, done once: shape arithmetic above all."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import helper, numpy_helper

from downshift.sw.importing.onnx_file import Node
from downshift.sw.importing.onnx_tensors import MAX_ELEMENTS
from downshift.sw.importing.values import ConstantValue, Refused, StoredConstant, Value

__all__ = ["Folding"]

ELEMENTWISE = {
    "Abs", "Add", "And", "Cast", "Ceil", "Clip", "Div", "Equal", "Erf", "Exp", "Floor", "Greater",
    "Identity", "Less", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal",
    "Relu", "Round", "Sign", "Sqrt", "Sub", "Where",
}  # fmt: skip
"""Give as many elements as what they take spreads to."""
SHRINKING = {
    "Dropout", "Flatten", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Give at most as many elements as they take."""
MOVING = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Give the elements that they take, if only as another type."""
GROWING = {"Concat", "ConstantOfShape", "Expand", "Gather"}


class Folding:
    """Computes nodes whose inputs are constants, with the reference implementation of ONNX.

    Parameters
    ----------
    opset : int
        Of the file, which says where an operator has its arguments.
    """

    def __init__(self, *, opset: int):
        self.opset = opset
        self.elements = 0

    def fold(self, node: Node, given: Sequence[Value | None]) -> ConstantValue | None:
        """Return the output of a node between constants; None if it is something else.

        Raises
        ------
        Refused
            If it cannot be computed, or has too many elements.
        """
        if node.op == "Constant":
            return ConstantValue(array=_constant(node))
        if node.op not in ELEMENTWISE | SHRINKING | GROWING or not given:
            return None
        if not all(each is None or isinstance(each, ConstantValue) for each in given):
            return None
        arrays = [each.array if isinstance(each, ConstantValue) else None for each in given]
        try:
            self.elements += _elements(node, arrays)
        except (ValueError, IndexError, TypeError):
            raise Refused("its constants do not fit together") from None
        if self.elements > MAX_ELEMENTS:
            raise Refused(f"constants of more than {MAX_ELEMENTS:,} elements are too many")
        result = self._run(node, arrays)
        stored = given[0].stored if isinstance(given[0], ConstantValue) else None
        if stored is not None and node.op in MOVING:
            stored = self._moved(node, stored, arrays, result.shape)
            return ConstantValue(array=result, stored=stored)
        return ConstantValue(array=result)

    def _moved(
        self,
        node: Node,
        stored: StoredConstant,
        arrays: Sequence[np.ndarray | None],
        shape: tuple[int, ...],
    ) -> StoredConstant | None:
        """Integers behind a constant whose elements change their places."""
        if node.op == "Cast":
            return stored
        if stored.scale.size == 1:
            scale = stored.scale.reshape((1,) * len(shape))
        elif node.op in {"Identity", "Transpose"}:
            scale = self._run(node, [stored.scale, *arrays[1:]])
        else:
            return None
        codes = self._run(node, [stored.codes, *arrays[1:]])
        return replace(stored, codes=codes, scale=scale)

    def _run(self, node: Node, arrays: Sequence[np.ndarray | None]) -> np.ndarray:
        from onnx.reference import ReferenceEvaluator

        names = [f"i{index}" if array is not None else "" for index, array in enumerate(arrays)]
        attributes = {
            name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            for name, value in node.attributes.items()
        }
        try:
            inner = helper.make_node(node.op, names, ["o"], **attributes)
            graph = helper.make_graph(
                [inner],
                "constants",
                [helper.make_empty_tensor_value_info(name) for name in names if name],
                [helper.make_empty_tensor_value_info("o")],
            )
            model = helper.make_model(
                graph, opset_imports=[helper.make_opsetid("", min(self.opset, NEWEST))]
            )
            with np.errstate(all="ignore"):
                (result,) = ReferenceEvaluator(model).run(
                    None,
                    {n: a for n, a in zip(names, arrays, strict=True) if a is not None},
                )
        except Exception as error:  # the reference raises whatever numpy does
            raise Refused(f"cannot be computed from its constants: {error!s:.80}") from None
        return np.asarray(result)


NEWEST = 23


def _constant(node: Node) -> np.ndarray:
    kinds = {
        "value": None, "value_float": np.float32, "value_floats": np.float32,
        "value_int": np.int64, "value_ints": np.int64,
    }  # fmt: skip
    for name, dtype in kinds.items():
        if name in node.attributes:
            try:
                return np.asarray(node.attributes[name], dtype)
            except (ValueError, TypeError, OverflowError):
                break
    raise Refused("a constant must hold numbers")


def _elements(node: Node, arrays: Sequence[np.ndarray | None]) -> int:
    """Most elements that a node can give."""
    some = [array for array in arrays if array is not None]
    if node.op in ELEMENTWISE:
        return math.prod(np.broadcast_shapes(*(array.shape for array in some)))
    if node.op in SHRINKING:
        return some[0].size
    if node.op == "Concat":
        return sum(array.size for array in some)
    if node.op == "Gather":
        # Each index brings what one place of an axis holds, at most all.
        axis = int(node.attributes.get("axis", 0))
        return some[1].size * (some[0].size // max(some[0].shape[axis], 1))
    sizes = tuple(int(size) for size in some[-1].reshape(-1))
    if min(sizes, default=0) < 0:
        raise ValueError
    if node.op == "Expand":
        return math.prod(np.broadcast_shapes(some[0].shape, sizes))
    return math.prod(sizes)
