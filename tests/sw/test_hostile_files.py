"""Every reader on files that were damaged at random: our own error, or a result, and no more."""

import resource

import numpy as np
import pytest
from onnx_models import make_model, whole_numbers
from quantized_models import qdq_model
from test_import import float_model
from tiny_graph import make_graph

from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sim.random_networks import random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.compile.image import Image
from downshift.sw.exporting.onnx_export import Dialect, onnx_bytes
from downshift.sw.exporting.packed import packed_bytes, packed_graph
from downshift.sw.graph.graph_file import graph_bytes, load_graph
from downshift.sw.importing.importer import import_graph

MOST_MEMORY = 400 << 20
"""Bytes that all damaged files of a run may add to the peak of the process."""


def onnx_files():
    constants = {"w": whole_numbers((4, 3, 3, 3)), "s": np.int64([0, -1])}
    shapes = [
        ("Conv", ["x", "w"], ["a"]), ("Shape", ["a"], ["h"]), ("Concat", ["h", "s"], ["k"],
        {"axis": 0}), ("MaxPool", ["a"], ["p"], {"kernel_shape": [2, 2], "ceil_mode": 1}),
        ("Pad", ["p"], ["q"], {"pads": [0] * 8}), ("GlobalAveragePool", ["q"], ["y"]),
    ]  # fmt: skip
    models = [qdq_model(), qdq_model(residual=True), float_model()]
    files = [model.SerializeToString() for model in models]
    files.append(make_model(shapes, (3, 6, 6), constants=constants, opset=10).SerializeToString())
    files += [onnx_bytes(make_graph(), 4, dialect) for dialect in Dialect]
    return files


def read_onnx(content, folder):
    images = np.random.default_rng(0).normal(size=(2, 3, 6, 6)).astype(np.float32)
    try:
        import_graph(content)
    except DownshiftError as error:
        if "calibrate" in str(error):
            import_graph(content, calibration=images)
        raise


def read_graph(content, folder):
    (folder / "g").write_bytes(content)
    load_graph(folder / "g")


READERS = {
    "onnx": (onnx_files, read_onnx),
    "graph": (lambda: [graph_bytes(make_graph())], read_graph),
    "image": (
        lambda: [compile_graph(random_network(np.random.default_rng(3)), TableConfig()).to_bytes()],
        lambda content, folder: Image.from_bytes(content),
    ),
    "packed": (
        lambda: [packed_bytes(make_graph(), width) for width in (8, 4)],
        lambda content, folder: packed_graph(content),
    ),
}


def damaged(content, rng):
    """A file with some of its bytes changed, left out, doubled or moved."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        place, kind = int(rng.integers(len(content))), rng.integers(5)
        length = int(rng.integers(1, 9))
        if kind == 0:
            content[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            content[place : place + length] = rng.bytes(length)
        elif kind == 2:
            content[place : place + length] = b"\xff" * length
        elif kind == 3 and len(content) > 20:
            del content[place : place + length]
        else:
            content[place:place] = content[place : place + length]
    return bytes(content[: rng.integers(1, len(content) + 1)] if rng.random() < 0.1 else content)


def attack(reader, count, folder, seed):
    """Read so many damaged files; return how many were refused."""
    files, read = READERS[reader]
    originals, rng, refused = files(), np.random.default_rng(seed), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        content = damaged(originals[number % len(originals)], rng)
        try:
            read(content, folder)
        except DownshiftError as error:
            refused += 1
            assert "\n" not in str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < MOST_MEMORY
    assert {path.name for path in folder.iterdir()} <= {"g"}
    return refused


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS)
def test_some_damaged_files(reader, tmp_path):
    assert attack(reader, 250, tmp_path, 0) > 50


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS)
def test_ten_thousand_damaged_files(reader, tmp_path):
    assert attack(reader, 10_000, tmp_path, 1) > 2_000
