"""ONNX files as plain data: nodes in order, constants as arrays, and nothing trusted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

from downshift.hw.errors import DownshiftError
from downshift.sw.importing.onnx_tensors import MAX_ELEMENTS, shown, tensor_array

__all__ = ["Node", "OnnxModel", "read_onnx"]

MAX_FILE_BYTES = 1 << 30
MAX_SIDE = 1 << 16
"""Longest side of an input."""
OPSETS = range(7, 1000)
DOMAINS = {"", "ai.onnx"}
OTHER_DOMAINS = {
    "com.microsoft",
    "finn.custom_op.general",
    "onnx.brevitas",
    "qonnx.custom_op.general",
}
"""Their operators have names that no other has."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """An operation."""

    op: str
    """Its type; of a domain that is not known with that before it."""
    name: str
    """Its own name, or that of its output; printable."""
    inputs: tuple[str, ...]
    """Tensors, "" where an optional one is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Numbers, texts, lists and arrays."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxModel:
    """A graph of operations on tensors."""

    nodes: tuple[Node, ...]
    """Each after those that give its inputs."""
    constants: Mapping[str, np.ndarray]
    input_name: str
    input_shape: tuple[int, ...]
    """Of one input: the first size is that of the batch, 1."""
    input_offset: int | None
    """What is added to an input of integers to give codes; None for real numbers."""
    outputs: tuple[str, ...]
    opset: int
    producer: str


def read_onnx(path: Path | str) -> OnnxModel:
    """Read an ONNX file, executing nothing and trusting nothing in it.

    Memory stays in proportion to the sizes of the file and of its external data, whatever they
    claim. External data is read from the folder of the file and what lies below it only.

    Parameters
    ----------
    path : path

    Raises
    ------
    DownshiftError
        If the file is missing, damaged, cyclic or incomplete; names the file.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DownshiftError(
                f"{path} has more than {MAX_FILE_BYTES >> 20} MiB; networks for one chip are "
                "smaller"
            )
        data = path.read_bytes()
    except OSError as error:
        raise DownshiftError(
            f"Cannot read {path}: {error.strerror or error}; check the path"
        ) from None
    except ValueError as error:
        raise DownshiftError(f"Cannot read {str(path)!r}: {error}") from None
    try:
        return onnx_model(data, folder=path.parent)
    except DownshiftError as error:
        raise DownshiftError(f"{path}: {error}") from None


def onnx_model(data: bytes, *, folder: Path | None = None) -> OnnxModel:
    """Take an ONNX file apart.

    Parameters
    ----------
    data : bytes
        Content of the file.
    folder : Path, optional
        Where external data may lie; None refuses it.

    Raises
    ------
    DownshiftError
        What is wrong, without the name of the file.
    """
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except (DecodeError, ValueError, RecursionError):
        raise DownshiftError("not an ONNX file, or a damaged one; export it again") from None
    graph = proto.graph
    if not graph.node:
        raise DownshiftError("not an ONNX file, or one without operations; export it again")
    opset = max((each.version for each in proto.opset_import if each.domain in DOMAINS), default=0)
    if opset not in OPSETS:
        raise DownshiftError(
            f"opset {opset} is not supported, {OPSETS.start} and later are; convert it with "
            "onnx.version_converter"
        )
    if graph.sparse_initializer:
        raise DownshiftError("sparse initializers are not supported; export it with dense ones")
    constants = _constants(graph.initializer, folder)
    try:
        nodes = [_node(each, folder) for each in graph.node]
    except UnicodeDecodeError:
        raise DownshiftError("a text is not UTF-8, so the file is damaged") from None
    inputs = [each for each in graph.input if each.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(shown(each.name) for each in inputs) or "none"
        raise DownshiftError(f"a network must have one input, not {len(inputs)} ({names})")
    outputs = tuple(each.name for each in graph.output)
    if not outputs:
        raise DownshiftError("the graph has no output; export it again")
    return OnnxModel(
        nodes=_in_order(nodes, {*constants, inputs[0].name}, outputs),
        constants=constants,
        input_name=inputs[0].name,
        input_shape=_input_shape(inputs[0]),
        input_offset=INPUT_OFFSETS.get(inputs[0].type.tensor_type.elem_type),
        outputs=outputs,
        opset=opset,
        producer=shown(f"{proto.producer_name} {proto.producer_version}".strip()),
    )


def _input_shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Sizes of one input, the batch's as 1."""
    name, tensor = shown(value.name), value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise DownshiftError(f"input {name} has no shape; export it with the shape of one input")
    sizes = [1, *(dim.dim_value for dim in tensor.shape.dim[1:])]
    if not 1 <= len(tensor.shape.dim) <= 4:
        raise DownshiftError(f"input {name} must have 2 to 4 dimensions, not {len(sizes)}")
    if not all(1 <= size <= MAX_SIDE for size in sizes) or math.prod(sizes) > MAX_ELEMENTS:
        raise DownshiftError(
            f"input {name} must have fixed sizes in 1..{MAX_SIDE} after the batch's, not "
            f"{[dim.dim_value or shown(dim.dim_param) for dim in tensor.shape.dim]}"
        )
    return tuple(sizes)


def _constants(tensors: Sequence[TensorProto], folder: Path | None) -> dict[str, np.ndarray]:
    constants: dict[str, np.ndarray] = {}
    for tensor in tensors:
        if tensor.name in constants:
            raise DownshiftError(f"initializer {shown(tensor.name)} is there twice")
        constants[tensor.name] = tensor_array(tensor, folder)
    if sum(array.size for array in constants.values()) > MAX_ELEMENTS:
        raise DownshiftError(f"constants of more than {MAX_ELEMENTS:,} elements are too many")
    return constants


INPUT_OFFSETS = {TensorProto.UINT8: 0, TensorProto.INT8: 128}


def _node(proto: onnx.NodeProto, folder: Path | None) -> Node:
    """A node with its attributes as values."""
    domain = "" if proto.domain in DOMAINS | OTHER_DOMAINS else f"{shown(proto.domain)}."
    attributes = {}
    for each in proto.attribute:
        if each.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            attributes[each.name] = "(a graph)"
            continue
        try:
            value = helper.get_attribute_value(each)
        except ValueError:
            raise DownshiftError(
                f"attribute {shown(each.name)} of node {shown(proto.name)} is damaged"
            ) from None
        if isinstance(value, TensorProto):
            value = tensor_array(value, folder)
        attributes[each.name] = value.decode() if isinstance(value, bytes) else value
    return Node(
        op=f"{domain}{shown(proto.op_type)}",
        name=shown(proto.name or (proto.output[0] if proto.output else proto.op_type)),
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes=attributes,
    )


def _in_order(nodes: Sequence[Node], known: set[str], outputs: Sequence[str]) -> tuple[Node, ...]:
    """Sort nodes so that each comes after those that give its inputs."""
    given: dict[str, Node] = {}
    for node in nodes:
        for name in filter(None, node.outputs):
            if name in given or name in known:
                raise DownshiftError(f"tensor {shown(name)} is given twice; export it again")
            given[name] = node
    for node in nodes:
        for name in filter(None, node.inputs):
            if name not in given and name not in known:
                raise DownshiftError(
                    f"node {node.name} takes {shown(name)}, which nothing gives: an initializer "
                    "is missing; export it again"
                )
    for name in outputs:
        if name not in given:
            raise DownshiftError(f"no node gives the output {shown(name)}")
    ready = known | {""}
    for node in nodes:
        if not ready.issuperset(node.inputs):
            break
        ready.update(node.outputs)
    else:
        return tuple(nodes)
    needs = {id(node): {id(given[name]) for name in node.inputs if name in given} for node in nodes}
    by_id = {id(node): node for node in nodes}
    try:
        return tuple(by_id[each] for each in TopologicalSorter(needs).static_order())
    except CycleError as error:
        name = by_id[error.args[1][0]].name
        raise DownshiftError(
            f"node {name} takes what comes from itself: the graph is cyclic"
        ) from None
