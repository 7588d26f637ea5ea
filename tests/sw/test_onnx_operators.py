import numpy as np
import pytest
from onnx_models import computed, make_model, reference, translated, whole_numbers

W = whole_numbers((4, 3, 3, 3), seed=1)
B = whole_numbers((4,), seed=2)
FC = whole_numbers((4 * 6 * 7, 5), seed=3)
CONV = ("Conv", ["x", "w"], ["a"], {"pads": [1, 1, 1, 1]})
SPREAD = {"w": W, "k": whole_numbers((4, 1, 1), seed=4, low=1)}
NORM = {
    "gain": np.float32([1, -2, 0.5, 3]),
    "shift": np.float32([0, 1, 2, -3]),
    "mean": np.float32([1, 0, -1, 2]),
    "variance": np.float32([4, 1, 0.25, 16]),
}

CASES = {
    "conv": [("Conv", ["x", "w", "b"], ["y"])],
    "stride and pads": [
        ("Conv", ["x", "w"], ["y"], {"strides": [2, 1], "pads": [0, 1, 2, 0]}),
    ],
    "same upper": [("Conv", ["x", "w"], ["y"], {"auto_pad": "SAME_UPPER", "strides": [2, 2]})],
    "same lower": [("Conv", ["x", "w"], ["y"], {"auto_pad": "SAME_LOWER", "strides": [2, 2]})],
    "dilation": [("Conv", ["x", "w"], ["y"], {"dilations": [2, 2], "pads": [2, 2, 2, 2]})],
    "relu": [CONV, ("Relu", ["a"], ["y"])],
    "clip": [CONV, ("Clip", ["a", "low", "high"], ["y"])],
    "add constant": [CONV, ("Add", ["a", "k"], ["y"])],
    "constant minus": [CONV, ("Sub", ["k", "a"], ["y"])],
    "minus constant": [CONV, ("Sub", ["a", "k"], ["y"])],
    "times constant": [CONV, ("Mul", ["k", "a"], ["y"])],
    "division": [CONV, ("Div", ["a", "two"], ["y"])],
    "norm": [CONV, ("BatchNormalization", ["a", "gain", "shift", "mean", "variance"], ["y"],
                    {"epsilon": 0.0})],
    "norm after relu": [CONV, ("Relu", ["a"], ["r"]),
                        ("BatchNormalization", ["r", "gain", "shift", "mean", "variance"], ["y"],
                         {"epsilon": 0.0})],
    "max pool": [CONV, ("MaxPool", ["a"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
                 ("Relu", ["p"], ["y"])],
    "max pool of the input": [("MaxPool", ["x"], ["y"], {"kernel_shape": [3, 2]})],
    "padded max pool": [CONV, ("Relu", ["a"], ["r"]),
                        ("MaxPool", ["r"], ["y"], {"kernel_shape": [3, 3], "strides": [2, 2],
                                                   "pads": [1, 0, 1, 2]})],
    "max pool to the ceiling": [CONV, ("Relu", ["a"], ["r"]),
                                ("MaxPool", ["r"], ["y"], {"kernel_shape": [2, 2],
                                                           "strides": [2, 2], "ceil_mode": 1})],
    "average pool": [CONV, ("AveragePool", ["a"], ["y"], {"kernel_shape": [2, 2],
                                                          "strides": [2, 1]})],
    "average pool of all": [CONV, ("AveragePool", ["a"], ["m"], {"kernel_shape": [6, 7]}),
                            ("Flatten", ["m"], ["f"]), ("MatMul", ["f", "small"], ["y"])],
    "global average": [CONV, ("GlobalAveragePool", ["a"], ["m"]), ("Conv", ["m", "one"], ["y"])],
    "global average at the end": [CONV, ("GlobalAveragePool", ["a"], ["y"])],
    "mean over axes": [CONV, ("ReduceMean", ["a"], ["m"], {"axes": [2, 3], "keepdims": 0}),
                       ("Gemm", ["m", "small", "five"], ["y"])],
    "residual": [CONV, ("Relu", ["a"], ["r"]), ("Conv", ["r", "one"], ["c"]),
                 ("Add", ["c", "r"], ["s"]), ("Relu", ["s"], ["y"])],
    "residual of the earlier": [CONV, ("Relu", ["a"], ["r"]), ("Conv", ["r", "one"], ["c"]),
                                ("Conv", ["r", "one"], ["d"]), ("Relu", ["d"], ["e"]),
                                ("Add", ["c", "e"], ["y"])],
    "twice the same": [CONV, ("Add", ["a", "a"], ["y"])],
    "concat": [CONV, ("Relu", ["a"], ["r"]), ("Conv", ["r", "one"], ["c"]),
               ("Concat", ["r", "c", "x"], ["y"], {"axis": 1})],
    "flatten": [CONV, ("Flatten", ["a"], ["f"]), ("MatMul", ["f", "fc"], ["y"])],
    "reshape": [CONV, ("Reshape", ["a", "shape"], ["f"]), ("Gemm", ["f", "fc", "five"], ["y"],
                                                           {"alpha": 2.0, "beta": 0.5})],
    "gemm turned": [CONV, ("Flatten", ["a"], ["f"]), ("Gemm", ["f", "cf"], ["y"],
                                                      {"transB": 1})],
    "shape arithmetic": [
        CONV, ("Shape", ["a"], ["s"]), ("Gather", ["s", "zero"], ["n"]),
        ("Unsqueeze", ["n", "zeros"], ["u"]), ("Concat", ["u", "minus"], ["t"], {"axis": 0}),
        ("Reshape", ["a", "t"], ["f"]), ("MatMul", ["f", "fc"], ["y"]),
    ],
    "transposes": [CONV, ("Transpose", ["a"], ["t"], {"perm": [0, 2, 3, 1]}),
                   ("MatMul", ["t", "small"], ["m"]),
                   ("Transpose", ["m"], ["y"], {"perm": [0, 3, 1, 2]})],
    "transposed before flattening": [CONV, ("Transpose", ["a"], ["t"], {"perm": [0, 2, 3, 1]}),
                                     ("Flatten", ["t"], ["f"]), ("MatMul", ["f", "fc"], ["y"])],
    "pad": [("Pad", ["x", "around"], ["p"]), ("Conv", ["p", "w"], ["y"])],
    "squeeze": [CONV, ("GlobalAveragePool", ["a"], ["m"]), ("Squeeze", ["m", "last"], ["s"]),
                ("Unsqueeze", ["s", "last"], ["u"]), ("Conv", ["u", "one"], ["y"])],
    "nothing": [CONV, ("Identity", ["a"], ["i"]), ("Dropout", ["i"], ["d"]),
                ("Cast", ["d"], ["y"], {"to": 1})],
    "normalized input": [("Sub", ["x", "two"], ["s"]), ("Div", ["s", "two"], ["d"]),
                         ("Conv", ["d", "w"], ["y"], {"pads": [1, 1, 1, 1]})],
}  # fmt: skip
CONSTANTS = {
    **SPREAD,
    **NORM,
    "b": B,
    "low": np.float32(-9),
    "high": np.float32(11),
    "two": np.float32(2),
    "one": whole_numbers((4, 4, 1, 1), seed=5),
    "small": whole_numbers((4, 5), seed=6),
    "five": whole_numbers((5,), seed=7),
    "fc": FC,
    "cf": np.ascontiguousarray(FC.T),
    "shape": np.int64([0, -1]),
    "zero": np.int64(0),
    "zeros": np.int64([0]),
    "minus": np.int64([-1]),
    "around": np.int64([0, 0, 1, 2, 0, 0, 0, 1]),
    "last": np.int64([2, 3]),
}


def model_of(nodes, shape=(3, 6, 7)):
    used = {name for _, inputs, *_ in nodes for name in inputs}
    constants = {name: array for name, array in CONSTANTS.items() if name in used}
    return make_model(nodes, shape, constants=constants)


@pytest.mark.parametrize("nodes", CASES.values(), ids=CASES)
def test_a_network_computes_what_onnx_says(nodes):
    x, model = whole_numbers((2, 3, 6, 7)), model_of(nodes)
    wanted = reference(model, x)
    found = computed(model, x)
    # Sums of whole numbers are exact; means and quotients are not.
    exact = not any(op in str(nodes) for op in ("Average", "Mean", "Div", "Norm"))
    np.testing.assert_allclose(found, wanted.reshape(2, -1), rtol=0, atol=0 if exact else 1e-4)


@pytest.mark.parametrize("groups, outputs", [(1, 4), (2, 6), (4, 4), (4, 8)])
def test_groups(groups, outputs):
    x = whole_numbers((2, 4, 5, 5))
    w = whole_numbers((outputs, 4 // groups, 3, 3), seed=groups)
    model = make_model(
        [("Conv", ["x", "w"], ["y"], {"group": groups})], (4, 5, 5), constants={"w": w}
    )
    np.testing.assert_array_equal(computed(model, x), reference(model, x).reshape(2, -1))


@pytest.mark.parametrize("shape", [(6, 7, 3), (1, 1, 3)])
def test_rows_first(shape):
    x = whole_numbers((2, *shape))
    turned = {"perm": [0, 3, 1, 2]}
    model = make_model(
        [("Transpose", ["x"], ["t"], turned), ("Conv", ["t", "w"], ["y"], {"pads": [1] * 4})],
        shape, constants={"w": W},
    )  # fmt: skip
    assert list(translated(model).network.given) in (["h", "w", "c"], ["c", "h", "w"])
    found = computed(model, x).reshape(2, -1)
    np.testing.assert_array_equal(found, reference(model, x).reshape(2, -1))


@pytest.mark.parametrize("joined", [["r", "r"], ["r", "c"]])
def test_what_is_never_below_zero_may_be_padded(joined):
    padded = {"kernel_shape": [3, 3], "pads": [1] * 4}
    nodes = [
        ("Conv", ["x", "w"], ["c"]), ("Relu", ["c"], ["r"]),
        ("Concat", joined, ["j"], {"axis": 1}),
        ("MaxPool", ["j"], ["m"], {"kernel_shape": [2, 2], "strides": [1, 1]}),
        ("MaxPool", ["m"], ["p"], padded), ("GlobalAveragePool", ["p"], ["y"]),
    ]  # fmt: skip
    model = make_model(nodes, (3, 6, 7), constants={"w": CONSTANTS["w"]}, opset=13)
    refused = translated(model).refused
    if joined == ["r", "r"]:
        x = whole_numbers((2, 3, 6, 7))
        np.testing.assert_array_equal(computed(model, x), reference(model, x).reshape(2, 8))
    else:
        assert [each.op for each in refused] == ["MaxPool", "GlobalAveragePool"]
        assert refused[0].detail.startswith("pads a pool of numbers below 0")


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 21, 22, 25, 28])
def test_opsets(opset):
    axes = {"axes": [2, 3]} if opset < 13 else {}
    inputs = ["m"] if opset < 13 else ["m", "last"]
    nodes = [
        ("Conv", ["x", "w"], ["a"]),
        ("GlobalAveragePool", ["a"], ["m"]),
        ("Squeeze", inputs, ["s"], axes),
        ("MatMul", ["s", "small"], ["y"]),
    ]
    used = {name: CONSTANTS[name] for name in ("w", "small", *inputs[1:])}
    model = make_model(nodes, (3, 6, 7), constants=used, opset=opset)
    x = whole_numbers((2, 3, 6, 7))
    np.testing.assert_allclose(computed(model, x), reference(model, x), atol=1e-4, rtol=0)


REFUSALS = {
    "takes maps of axes N, C, H, W; these are in another order": [
        CONV, ("Transpose", ["a"], ["t"], {"perm": [0, 2, 3, 1]}),
        ("Conv", ["t", "w"], ["y"]),
    ],
    "Sigmoid is not supported; at the end of a network it may be left out, inside a Relu or a "
    "Clip works": [CONV, ("Sigmoid", ["a"], ["y"])],
    "Cos is not among what runs on the accelerator; see `downshift import --help`": [
        CONV, ("Cos", ["a"], ["y"]),
    ],
    "pads a pool of numbers below 0; put a Relu before it, or use no padding": [
        CONV, ("MaxPool", ["a"], ["y"], {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]}),
    ],
    "a constant of shape (6, 7) differs from pixel to pixel; constants by channel work": [
        CONV, ("Add", ["a", "plane"], ["y"]),
    ],
    "attribute strides must be integers in 1..65536, not (0, 1)": [
        ("Conv", ["x", "w"], ["y"], {"strides": [0, 1]}),
    ],
    "weights of shape (4, 3, 3, 3) in 2 groups do not fit 3 channels": [
        ("Conv", ["x", "w"], ["y"], {"group": 2}),
    ],
    "limits must be in order, not 11 and -9": [CONV, ("Clip", ["a", "high", "low"], ["y"])],
    "a divisor must not be 0": [CONV, ("Div", ["a", "nothing"], ["y"])],
    "a shape [2, 84] tears the axes of a map apart": [
        CONV, ("Reshape", ["a", "halves"], ["y"]),
    ],
    "pads with 1; zero works": [
        ("Pad", ["x", "around", "ones"], ["p"]), ("Conv", ["p", "w"], ["y"]),
    ],
}  # fmt: skip
MORE = {
    "plane": np.ones((6, 7), np.float32),
    "nothing": np.float32(0),
    "halves": np.int64([2, 84]),
    "ones": np.float32(1),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_what_is_refused_says_why(reason, monkeypatch):
    for name, array in MORE.items():
        monkeypatch.setitem(CONSTANTS, name, array)
    refused = translated(model_of(REFUSALS[reason])).refused
    assert refused[0].detail == reason


def test_what_follows_a_refused_node_names_what_it_takes():
    fates = translated(model_of([CONV, ("Cos", ["a"], ["c"]), ("Relu", ["c"], ["y"])])).fates
    assert [fate.outcome for fate in fates] == ["supported", "refused", "refused"]
    assert fates[2].detail == "takes 'c', which comes from a node that was refused"


def test_every_node_has_a_fate():
    fates = translated(model_of(CASES["residual"])).fates
    assert [fate.op for fate in fates] == ["Conv", "Relu", "Conv", "Add", "Relu"]
    assert [fate.outcome for fate in fates] == ["supported", "folded", "supported"] + ["folded"] * 2
