"""ONNX models as small as can be, and what their reference implementation makes of them."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from downshift.sw.importing.onnx_file import onnx_model
from downshift.sw.importing.real_layer import run_network
from downshift.sw.importing.translate import translate

TYPES = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8, "int8": TensorProto.INT8}


def make_model(nodes, shape, *, constants=None, opset=17, outputs=("y",), dtype="float32"):
    """A model of nodes, each (op, inputs, outputs, attributes); the input is "x"."""
    graph = helper.make_graph(
        [helper.make_node(op, i, o, name=f"{op}_{n}", **(more[0] if more else {}))
         for n, (op, i, o, *more) in enumerate(nodes)],
        "graph",
        [helper.make_tensor_value_info("x", TYPES[dtype], ["N", *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name)
         for name, array in (constants or {}).items()],
    )  # fmt: skip
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="tests"
    )


def reference(model, x):
    """What the model's first output is."""
    return ReferenceEvaluator(model).run(None, {"x": x})[0]


def translated(model):
    """The network that the model becomes, and the fates of its nodes."""
    return translate(onnx_model(model.SerializeToString()))


def computed(model, x):
    """What the model's network computes in real numbers, as the reference orders it."""
    result = translated(model)
    assert not result.refused, result.refused
    network = result.network
    images = (
        x.transpose(0, 2, 3, 1) if x.ndim == 4 and list(network.given) == ["c", "h", "w"] else x
    )
    images = images.reshape(len(x), *network.input_shape)
    last = network.layers[-1]
    sums = np.clip(run_network(network, images)[last.name], last.low, last.high)
    return sums.transpose(0, 3, 1, 2).reshape(len(x), -1)


def whole_numbers(shape, *, seed=0, low=-4, high=5):
    """Small whole numbers, whose sums floats hold exactly."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.float32)
