import numpy as np
import onnx
import pytest
from onnx_models import make_model, translated, whole_numbers
from qonnx_execution import executed

from downshift.sim import golden
from downshift.sw.importing.importer import import_graph
from downshift.sw.importing.quantize import input_codes

DOMAIN = "qonnx.custom_op.general"


def quant(given, name, *, bits, signed=1, narrow=0, scale="one"):
    inputs = [given, scale, "zero", f"bits{bits}"]
    more = {"signed": signed, "narrow": narrow, "rounding_mode": "ROUND", "domain": DOMAIN}
    return "Quant", inputs, [name], more


def model_of(nodes, shape, constants, *, version=1):
    scalars = {"one": 1.0, "half": 0.5, "zero": 0.0, **{f"bits{b}": b for b in range(1, 9)}}
    used = {name for _, inputs, *_ in nodes for name in inputs}
    constants = {
        **{name: np.float32(value) for name, value in scalars.items() if name in used},
        **constants,
    }
    model = make_model(nodes, shape, constants=constants, opset=13)
    model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, version))
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "bits, signed, narrow", [(2, 1, 1), (2, 1, 0), (3, 1, 1), (2, 0, 0), (4, 1, 0), (8, 0, 0)]
)
@pytest.mark.parametrize("seed", range(3))
def test_quantized_layers_are_what_the_package_says(bits, signed, narrow, seed):
    rng = np.random.default_rng(seed)
    nodes = [
        quant("x", "a", bits=4),
        quant("w", "wq", bits=2, narrow=1), ("Transpose", ["wq"], ["wt"], {"perm": [1, 0]}),
        ("MatMul", ["a", "wt"], ["b"]), ("Add", ["b", "shift"], ["c"]),
        quant("c", "d", bits=bits, signed=signed, narrow=narrow),
        quant("v", "vq", bits=4, scale="half"), ("MatMul", ["d", "vq"], ["y"]),
    ]  # fmt: skip
    constants = {
        "w": rng.normal(size=(8, 6)).astype(np.float32),
        "v": rng.normal(size=(8, 5)).astype(np.float32) * 2,
        # Halves meet the ties of rounding.
        "shift": (rng.integers(-6, 7, 8) / 2).astype(np.float32),
    }
    model = model_of(nodes, (6,), constants)
    if not narrow:
        constants["shift"] = np.rint(constants["shift"])
        model = model_of(nodes, (6,), constants)
    x = rng.integers(-8, 8, (40, 6)).astype(np.float32)
    graph = import_graph(model.SerializeToString())
    width = graph.widths[0]
    logits = golden.run(graph, input_codes(graph, x.reshape(40, 1, 1, 6)), width).logits
    np.testing.assert_array_equal(logits * graph.logit_scales[width], executed(model, x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(3))
def test_thresholds_are_what_the_package_says(seed):
    rng = np.random.default_rng(seed)
    nodes = [
        quant("x", "a", bits=8), quant("w", "wq", bits=4), ("Conv", ["a", "wq"], ["b"]),
        ("MultiThreshold", ["b", "t"], ["c"], {"domain": DOMAIN, "out_scale": 2.0,
                                               "out_bias": -4.0}),
        quant("v", "vq", bits=8), ("Conv", ["c", "vq"], ["y"]),
    ]  # fmt: skip
    constants = {
        "w": whole_numbers((4, 2, 3, 3), seed=seed),
        "t": np.sort(rng.integers(-300, 300, (4, 5)), axis=1).astype(np.float32),
        "v": whole_numbers((3, 4, 3, 3), seed=seed + 9, low=-90, high=90),
    }
    model = model_of(nodes, (2, 5, 5), constants)
    x = rng.integers(-128, 128, (20, 2, 5, 5)).astype(np.float32)
    graph = import_graph(model.SerializeToString())
    assert graph.layers[0].out_channels == 4 * 5
    width = graph.widths[0]
    logits = golden.run(graph, input_codes(graph, x.transpose(0, 2, 3, 1)), width).logits
    found = (logits * graph.logit_scales[width]).reshape(20, 3)
    np.testing.assert_array_equal(found, executed(model, x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rounding", ["FLOOR", "ROUND"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("bits", [2, 4, 6])
@pytest.mark.parametrize("whole", [False, True])
def test_truncated_means_are_what_the_package_says(rounding, version, bits, whole):
    rng = np.random.default_rng(bits)
    pool = ("GlobalAveragePool", ["a"], ["b"]) if whole else (
        "AveragePool", ["a"], ["b"], {"kernel_shape": [2, 2], "strides": [2, 2]}
    )  # fmt: skip
    # Means of codes of 4 bits are quarters, or sixteenths: sums of 6 or 8 bits.
    count, sum_bits = (16, 8) if whole else (4, 6)
    less = sum_bits - bits
    constants = {
        "fine": np.float32(1 / count), "sum_bits": np.float32(sum_bits),
        "coarse": np.float32(2.0**less / count), "out_bits": np.float32(bits),
        "v": rng.integers(-8, 8, (3, 2, 1 if whole else 2, 1 if whole else 2)).astype(np.float32),
    }  # fmt: skip
    inputs = ["b", "fine", "zero", "sum_bits", *(["coarse"] if version == 2 else []), "out_bits"]
    more = {"rounding_mode": rounding, "domain": DOMAIN}
    more |= {"signed": 0, "narrow": 0} if version == 2 else {}
    if version == 1:
        del constants["coarse"]
    nodes = [
        quant("x", "a", bits=4, signed=0), pool, ("Trunc", inputs, ["c"], more),
        quant("v", "vq", bits=4), ("Conv", ["c", "vq"], ["y"]),
    ]  # fmt: skip
    model = model_of(nodes, (2, 4, 4), constants, version=version)
    # Version 1 does not clip what is rounded up beyond its bits.
    x = rng.integers(0, 14, (60, 2, 4, 4)).astype(np.float32)
    graph = import_graph(model.SerializeToString())
    width = graph.widths[0]
    logits = golden.run(graph, input_codes(graph, x.transpose(0, 2, 3, 1)), width).logits
    np.testing.assert_array_equal(logits * graph.logit_scales[width], executed(model, x))


def test_weights_of_one_bit():
    nodes = [
        quant("x", "a", bits=4),
        ("BipolarQuant", ["w", "half"], ["wq"], {"domain": DOMAIN}),
        ("MatMul", ["a", "wq"], ["y"]),
    ]
    model = model_of(nodes, (6,), {"w": whole_numbers((6, 4))})
    x = whole_numbers((9, 6), seed=1)
    graph = import_graph(model.SerializeToString())
    assert graph.widths == (1,)
    logits = golden.run(graph, input_codes(graph, x.reshape(9, 1, 1, 6)), 1).logits
    np.testing.assert_array_equal(
        logits * graph.logit_scales[1], x @ np.where(whole_numbers((6, 4)) >= 0, 0.5, -0.5)
    )


REFUSALS = {
    "rounds FLOOR; only ROUND, half to even, is what the hardware does": (
        "Quant", ["x", "one", "zero", "bits8"], ["y"], {"rounding_mode": "FLOOR"},
    ),
    "quantizes a map to 16 bits; 1 to 8 work": ("Quant", ["x", "one", "zero", "sixteen"], ["y"]),
    "a zero point must be an integer, not 0.5": ("Quant", ["x", "one", "half", "bits8"], ["y"]),
    "maps of -1 and 1 have no code of zero; use Quant with 2 bits for maps": (
        "BipolarQuant", ["x", "one"], ["y"],
    ),
    "rounds sums down whose bias cannot be half of one; truncate averages, or ROUND": (
        "Trunc", ["x", "one", "zero", "sixteen", "bits8"], ["y"],
    ),
    "a bit width must be one of 1 to 32, not [1000.0]": (
        "Quant", ["x", "one", "zero", "thousand"], ["y"],
    ),
    "9 thresholds of each channel are more than 7; write a plain quantizer as Quant": (
        "MultiThreshold", ["x", "many"], ["y"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSALS)
def test_what_is_refused_says_why(reason):
    op, inputs, outputs, *more = REFUSALS[reason]
    nodes = [(op, inputs, outputs, {**(more[0] if more else {}), "domain": DOMAIN})]
    extra = {
        "sixteen": np.float32(16),
        "thousand": np.float32(1000),
        "many": np.zeros((1, 9), np.float32),
    }
    used = {name: array for name, array in extra.items() if name in inputs}
    assert translated(model_of(nodes, (6,), used)).refused[0].detail == reason
