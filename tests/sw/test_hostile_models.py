"""ONNX models that are well formed, and make no sense: our own error, or a graph, and no more."""

from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from test_hostile_files import onnx_files, read_onnx

from downshift.hw.errors import DownshiftError

NUMBERS = st.sampled_from(
    [0, 1, -1, 2, 3, 7, 255, 1 << 20, 1 << 40, -(1 << 40), (1 << 63) - 1, -(1 << 63)]
)
REALS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, 1e38, np.inf, -np.inf, np.nan])
OPERATORS = st.sampled_from(
    "Conv MatMul Gemm Add Mul Relu Clip MaxPool AveragePool GlobalAveragePool ReduceMean Flatten "
    "Reshape Transpose Squeeze Unsqueeze Concat Pad Identity Softmax ArgMax Cast Shape Gather "
    "Slice QuantizeLinear DequantizeLinear QLinearConv BatchNormalization Constant Resize "
    "If".split()
)


def pick(draw, items):
    return items[draw(st.integers(0, len(items) - 1))]


def rewire(draw, graph):
    """Let a node take, or give, any tensor: cycles, missing ones, and those of other shapes."""
    names = [name for node in graph.node for name in (*node.input, *node.output)]
    names += [entry.name for entry in graph.initializer] + ["", "nothing", "../../x"]
    node = pick(draw, graph.node)
    ends = node.output if draw(st.integers(0, 3)) == 0 else node.input
    if ends:
        ends[draw(st.integers(0, len(ends) - 1))] = pick(draw, names)


def change_operator(draw, graph):
    pick(draw, graph.node).op_type = draw(OPERATORS)


def drop_or_repeat(draw, graph):
    place = draw(st.integers(0, len(graph.node) - 1))
    if draw(st.booleans()):
        graph.node.append(graph.node[place])
    elif len(graph.node) > 1:
        del graph.node[place]


def change_attribute(draw, graph):
    attributes = [entry for node in graph.node for entry in node.attribute]
    if not attributes:
        return
    attribute = pick(draw, attributes)
    if attribute.ints and draw(st.booleans()):
        attribute.ints[draw(st.integers(0, len(attribute.ints) - 1))] = draw(NUMBERS)
    elif attribute.ints:
        del attribute.ints[draw(st.integers(0, len(attribute.ints) - 1)) :]
    else:
        attribute.i, attribute.f = draw(NUMBERS), draw(REALS)


def change_numbers(draw, graph):
    """Scales of zero, zero points of another type, weights without a dimension."""
    if not graph.initializer:
        return
    entry = pick(draw, graph.initializer)
    try:
        array = np.array(numpy_helper.to_array(entry))
    except (ValueError, KeyError):  # it lies about its shape or type already
        return
    kind = draw(st.integers(0, 3))
    if kind == 0 and array.size:
        flat = array.reshape(-1)
        value = draw(REALS) if array.dtype.kind == "f" else draw(st.integers(-128, 127))
        flat[draw(st.integers(0, flat.size - 1))] = np.asarray(value).astype(array.dtype)
    elif kind == 1:
        array = array.reshape(-1)[: draw(st.integers(0, 4))]
    elif kind == 2:
        array = array.astype(draw(st.sampled_from([np.int8, np.uint8, np.int64, np.float64])))
    else:
        array = array[None]
    entry.CopyFrom(numpy_helper.from_array(array, entry.name))


def claim_shape(draw, graph):
    """A tensor, or the input, that says it is larger than any memory."""
    if draw(st.booleans()) and graph.initializer:
        entry = pick(draw, graph.initializer)
        if entry.dims:
            entry.dims[draw(st.integers(0, len(entry.dims) - 1))] = draw(NUMBERS)
        return
    dims = graph.input[0].type.tensor_type.shape.dim
    if dims:
        dims[draw(st.integers(0, len(dims) - 1))].dim_value = draw(NUMBERS)


def claim_type(draw, graph):
    kinds = [TensorProto.INT8, TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.FLOAT16, 99]
    kind = draw(st.sampled_from(kinds))
    if draw(st.booleans()) and graph.initializer:
        pick(draw, graph.initializer).data_type = kind
    else:
        graph.input[0].type.tensor_type.elem_type = kind


EDITS = (
    rewire, change_operator, drop_or_repeat, change_attribute, change_numbers, claim_shape,
    claim_type,
)  # fmt: skip
FILES = onnx_files()


@dataclass(frozen=True)
class Absurd:
    """A file; failures need not print it."""

    content: bytes = field(repr=False)


@st.composite
def absurd_models(draw):
    model = onnx.load_model_from_string(draw(st.sampled_from(FILES)))
    for edit in draw(st.lists(st.sampled_from(EDITS), min_size=1, max_size=4)):
        edit(draw, model.graph)
    return Absurd(model.SerializeToString())


def check(content, folder):
    try:
        read_onnx(content, folder)
    except DownshiftError as error:
        assert str(error)
        assert "\n" not in str(error)


OPTIONS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, **OPTIONS)
@given(model=absurd_models())
def test_some_absurd_models(model, tmp_path):
    check(model.content, tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=10_000, **OPTIONS)
@given(model=absurd_models())
def test_ten_thousand_absurd_models(model, tmp_path):
    check(model.content, tmp_path)
