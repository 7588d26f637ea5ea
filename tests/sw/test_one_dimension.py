"""Networks over one dimension: maps of one row."""

import brevitas.nn as qnn
import numpy as np
import onnxruntime
import pytest
import torch
from brevitas.quant import Int8ActPerTensorFloat
from onnx_models import make_model, translated, whole_numbers
from torch import nn

from downshift.hw.table_config import TableConfig
from downshift.sim import golden
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.importing.from_torch import import_module
from downshift.sw.importing.importer import in_map_order
from downshift.sw.importing.quantize import input_codes
from downshift.sw.importing.real_layer import run_network

SHAPE = (3, 11)
CONV = ("Conv", ["x", "w", "b"], ["a"], {"pads": [1, 1]})
CASES = {
    "conv": [("Conv", ["x", "w", "b"], ["y"])],
    "uneven pads": [("Conv", ["x", "w", "b"], ["y"], {"pads": [0, 2], "strides": [2]})],
    "same": [("Conv", ["x", "w"], ["y"], {"auto_pad": "SAME_UPPER", "strides": [3]})],
    "dilated": [("Conv", ["x", "w"], ["y"], {"dilations": [3]})],
    "depthwise": [CONV, ("Conv", ["a", "d"], ["y"], {"group": 4, "kernel_shape": [3]})],
    "norm": [CONV, ("BatchNormalization", ["a", "b", "b", "b", "one"], ["n"], {"epsilon": 0.0}),
             ("Relu", ["n"], ["y"])],
    "max pool": [CONV, ("MaxPool", ["a"], ["y"], {"kernel_shape": [3], "strides": [2]})],
    "max pool, padded": [CONV, ("Relu", ["a"], ["r"]),
                         ("MaxPool", ["r"], ["y"], {"kernel_shape": [3], "pads": [1, 1]})],
    "max pool to the ceiling": [CONV, ("Relu", ["a"], ["r"]),
                                ("MaxPool", ["r"], ["y"], {"kernel_shape": [2], "strides": [2],
                                                           "ceil_mode": 1})],
    "average pool": [CONV, ("AveragePool", ["a"], ["y"], {"kernel_shape": [4], "strides": [2]})],
    "mean of all": [CONV, ("GlobalAveragePool", ["a"], ["m"]), ("Flatten", ["m"], ["f"]),
                    ("MatMul", ["f", "small"], ["y"])],
    "mean over columns": [CONV, ("ReduceMean", ["a"], ["m"], {"axes": [-1], "keepdims": 0}),
                          ("MatMul", ["m", "small"], ["y"])],
    "padded apart": [("Pad", ["x", "around"], ["p"]), ("Conv", ["p", "w"], ["y"])],
    "one channel joined": [("Conv", ["x", "narrow"], ["n"]), ("Conv", ["x", "w"], ["a"]),
                           ("Concat", ["n", "a", "n"], ["y"], {"axis": 1})],
    "residual": [CONV, ("Conv", ["a", "d"], ["c"], {"group": 4, "pads": [1, 1]}),
                 ("Add", ["c", "a"], ["s"]), ("Relu", ["s"], ["y"])],
    "flattened": [CONV, ("Flatten", ["a"], ["f"]), ("MatMul", ["f", "fc"], ["y"])],
    "columns first": [CONV, ("Transpose", ["a"], ["t"], {"perm": [0, 2, 1]}),
                      ("MatMul", ["t", "small"], ["m"]),
                      ("Transpose", ["m"], ["y"], {"perm": [0, 2, 1]})],
    "in two dimensions between": [CONV, ("Unsqueeze", ["a", "two"], ["u"]),
                                  ("Conv", ["u", "square"], ["c"]),
                                  ("Squeeze", ["c", "two"], ["y"])],
}  # fmt: skip
CONSTANTS = {
    "w": whole_numbers((4, 3, 3), seed=1),
    "b": whole_numbers((4,), seed=2),
    "d": whole_numbers((4, 1, 3), seed=3),
    "one": np.float32([1, 4, 1, 16]),
    "small": whole_numbers((4, 5), seed=4),
    "fc": whole_numbers((44, 5), seed=5),
    "two": np.int64([2]),
    "around": np.int64([0, 0, 2, 0, 0, 1]),
    "narrow": whole_numbers((1, 3, 3), seed=7),
    "square": whole_numbers((4, 4, 1, 3), seed=6),
}


def reference(model, x):
    """What ONNX Runtime gives; the reference implementation pads pools of one dimension wrongly."""
    model.ir_version = 10
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": x})[0]


def model_of(nodes, shape=SHAPE):
    used = {name for _, inputs, *_ in nodes for name in inputs}
    constants = {name: array for name, array in CONSTANTS.items() if name in used}
    return make_model(nodes, shape, constants=constants)


@pytest.mark.parametrize("nodes", CASES.values(), ids=CASES)
def test_a_network_computes_what_onnx_says(nodes):
    x, model = whole_numbers((2, *SHAPE)), model_of(nodes)
    result = translated(model)
    assert not result.refused, result.refused
    network = result.network
    last = network.layers[-1]
    sums = run_network(network, in_map_order(network, x))[last.name]
    found = np.clip(sums, last.low, last.high).transpose(0, 3, 1, 2).reshape(2, -1)
    exact = not any(op in str(nodes) for op in ("Average", "Mean", "Norm"))
    wanted = reference(model, x).reshape(2, -1)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0 if exact else 1e-4)


def test_channels_may_be_left_out():
    x, one = whole_numbers((2, 11)), whole_numbers((4, 1, 3))
    model = make_model(
        [("Unsqueeze", ["x", "axis"], ["u"]), ("Conv", ["u", "w"], ["y"])], (11,),
        constants={"w": one, "axis": np.int64([1])},
    )  # fmt: skip
    network = translated(model).network
    assert dict(network.given) == {"w": 11}
    sums = run_network(network, in_map_order(network, x))[network.layers[-1].name]
    found = sums.transpose(0, 3, 1, 2).reshape(2, -1)
    np.testing.assert_array_equal(found, reference(model, x).reshape(2, -1))


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([("Conv", ["x", "w"], ["y"], {"strides": [1, 2]})],
         "attribute strides must have 1 number, not 2"),
        ([("Conv", ["x", "square"], ["y"])], "weights of shape (4, 4, 1, 3) in 1 groups do not "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(nodes, reason):
    (fate,) = translated(model_of(nodes)).refused
    assert fate.detail.startswith(reason)


class Signal(nn.Module):
    """Convolutions over time, depthwise and not, with a residual."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(3, 8, 5, stride=2), nn.BatchNorm1d(8), nn.ReLU())
        self.depth = nn.Conv1d(8, 8, 3, padding=1, groups=8)
        self.last = nn.Linear(8, 4)

    def forward(self, x):
        x = self.first(x)
        x = torch.relu(self.depth(x) + x)
        return self.last(nn.functional.max_pool1d(x, 2).mean(2))


class Quantized(nn.Module):
    def __init__(self):
        super().__init__()
        self.entering = qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat)
        self.first = qnn.QuantConv1d(3, 8, 3, bias=False, weight_scaling_per_output_channel=True)
        self.relu = qnn.QuantReLU(bit_width=8)
        self.last = qnn.QuantLinear(8 * 18, 4, bias=False)

    def forward(self, x):
        return self.last(self.relu(self.first(self.entering(x))).flatten(1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [Signal, Quantized])
def test_torch_modules(kind):
    torch.manual_seed(0)
    x = torch.randn(64, 3, 20)
    model = kind().train()
    for _ in range(20):
        model(x)
    model.eval()
    options = {"calibration": x.numpy()} if kind is Signal else {}
    graph = import_module(model, x[:1], **options)
    logits = golden.run(graph, input_codes(graph, x.numpy().transpose(0, 2, 1)[:, None]), 8).logits
    wanted = model(x).detach().numpy()
    if kind is Quantized:  # whole numbers of steps
        assert np.array_equal(np.rint(wanted / graph.logit_scales[8]), logits)
    else:
        noise = np.mean((logits * graph.logit_scales[8] - wanted) ** 2) / wanted.var()
        assert noise < 0.01
    compile_graph(graph, TableConfig(multiplier_width=graph.multiplier_width))
