from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from qonnx_execution import executed
from tiny_graph import make_graph

from downshift.hw.errors import DownshiftError
from downshift.sim import golden
from downshift.sim.random_networks import Feature, random_network
from downshift.sw.exporting.onnx_export import Dialect, onnx_bytes, onnx_model
from downshift.sw.graph.integer_graph import INPUT
from downshift.sw.importing.importer import import_graph

QUIET = onnxruntime.SessionOptions()
QUIET.log_severity_level = 3


def drawn(graph, width, n=5):
    """Codes of inputs, and the real numbers that they stand for, channels first."""
    bits, _ = graph.codes_of(INPUT, width)
    codes = np.random.default_rng(width).integers(0, 1 << bits, (n, *graph.input_shape))
    real = codes * graph.input_scale + graph.input_offset
    return codes.astype(np.uint8), real.transpose(0, 3, 1, 2).astype(np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_the_runtime_gives_golden(seed):
    graph = random_network(
        np.random.default_rng(seed), features=tuple(Feature), multiplier_width=(16, 24)[seed % 2]
    )
    for width in graph.widths:
        codes, real = drawn(graph, width)
        session = onnxruntime.InferenceSession(onnx_bytes(graph, width, Dialect.QDQ), QUIET)
        logits = session.run(["logits"], {"input": real})[0]
        np.testing.assert_array_equal(logits, golden.run(graph, codes, width).logits)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_the_qonnx_package_gives_golden(seed):
    graph = random_network(
        np.random.default_rng(seed), features=tuple(Feature), multiplier_width=(16, 24)[seed % 2]
    )
    for width in graph.widths:
        codes, real = drawn(graph, width, 2)
        logits = executed(onnx_model(graph, width, Dialect.QONNX), real, "input", "logits")
        np.testing.assert_array_equal(logits, golden.run(graph, codes, width).logits)


def assert_alike(graph, found, width):
    """Compare all that a file at one width can hold; its scales are float32."""
    assert found.input_shape == graph.input_shape
    assert found.input_scale == graph.input_scale
    (kept,) = found.widths
    for left, right in zip(graph.layers, found.layers, strict=True):
        for name in ("name", "stride", "padding", "pool", "groups", "residual", "average"):
            assert getattr(left, name) == getattr(right, name), (left.name, name)
        assert graph.source_of(left) == found.source_of(right)
        ours, theirs = left.settings[width], right.settings[kept]
        for name in vars(ours):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), name)
    assert np.float32(found.logit_scales[kept]) == np.float32(graph.logit_scales[width])


@pytest.mark.parametrize("dialect", Dialect)
def test_what_is_written_is_read_again(lowered, dialect):
    for width in lowered.widths:
        found = import_graph(onnx_bytes(lowered, width, dialect))
        assert_alike(lowered, found, width)
        codes, _ = drawn(lowered, width)
        ours = golden.run(lowered, codes, width).logits
        np.testing.assert_array_equal(golden.run(found, codes, found.widths[0]).logits, ours)


@pytest.mark.parametrize("dialect", Dialect)
def test_what_random_networks_compute_is_kept(dialect):
    for seed in range(6):
        features = (Feature.PLAIN, Feature.DEPTHWISE, Feature.AVERAGE)
        graph = random_network(np.random.default_rng(seed), features=features)
        for width in graph.widths:
            found = import_graph(onnx_bytes(graph, width, dialect))
            codes, _ = drawn(graph, width)
            ours = golden.run(graph, codes, width).logits
            theirs = golden.run(found, codes.reshape(-1, *found.input_shape), found.widths[0])
            np.testing.assert_array_equal(theirs.logits, ours)


@pytest.mark.parametrize("width, share", [(8, 8), (6, 8), (4, 4), (2, 2)])
def test_weights_shrink_with_the_bits(lowered, width, share):
    tensors = onnx_model(lowered, width, Dialect.QDQ).graph.initializer
    stored = sum(len(each.raw_data) for each in tensors if each.name.endswith("weight.codes"))
    assert stored == lowered.weight_bytes * share // 8


def test_the_checker_of_onnx_accepts_it(lowered):
    for width in lowered.widths:
        onnx.checker.check_model(onnx_model(lowered, width, Dialect.QDQ), full_check=True)


def test_sums_that_floats_cannot_hold_are_refused():
    graph = make_graph()
    first = graph.layers[0]
    object.__setattr__(first, "weight", np.full((4, 600, 11, 11), 127, np.int8))
    object.__setattr__(graph, "input_shape", (12, 12, 600))
    graph.__dict__.pop("_shapes", None)
    with pytest.raises(DownshiftError) as caught:
        onnx_model(graph, 8, Dialect.QONNX)
    assert str(caught.value) == (
        "Layer conv at width 8: its sums may reach 2,351,151,000, and float32 is exact below "
        "16,777,216 only; export a lower width"
    )


def test_widths_that_are_not_there_are_refused(lowered):
    with pytest.raises(DownshiftError, match=r"runs at widths 8, 6, 4, 2, not 5$"):
        onnx_model(lowered, 5, Dialect.QDQ)


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    "names", [("logits", "output", "input.map"), ("a", "a.map", "a.weight"), ("x", "x_", "x.map")]
)
def test_layers_may_have_any_names(names, dialect):
    graph = make_graph()
    layers, former = [], dict(zip([each.name for each in graph.layers], names, strict=True))
    for layer in graph.layers:
        source = former.get(layer.source, layer.source)
        residual = former.get(layer.residual, layer.residual)
        layers.append(replace(layer, name=former[layer.name], source=source, residual=residual))
    graph = replace(graph, layers=tuple(layers))
    model = onnx_model(graph, 8, dialect)
    taken = [node.name for node in model.graph.node]
    assert len(set(taken)) == len(taken)
    given = [name for node in model.graph.node for name in node.output]
    given += [tensor.name for tensor in model.graph.initializer]
    assert len(set(given)) == len(given)
    codes, real = drawn(graph, 8)
    if dialect is Dialect.QDQ:
        session = onnxruntime.InferenceSession(model.SerializeToString(), QUIET)
        logits = session.run(["logits"], {"input": real})[0]
        np.testing.assert_array_equal(logits, golden.run(graph, codes, 8).logits)
