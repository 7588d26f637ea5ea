import json

import numpy as np
import pytest
from tiny_graph import make_graph

from downshift.sw.exporting.packed import packed_graph
from downshift.sw.graph.graph_file import save_graph

NAMES = {"qdq": "model-w4.qdq.onnx", "qonnx": "model-w4.qonnx.onnx", "numpy": "model-w4.npz",
         "c": "model-w4.h"}  # fmt: skip


@pytest.fixture
def graph_path(tmp_path):
    save_graph(make_graph(), tmp_path / "g.safetensors")
    return tmp_path / "g.safetensors"


@pytest.mark.parametrize("form", NAMES)
def test_formats_of_other_tools(run, graph_path, tmp_path, form):
    out = tmp_path / "out"
    _, printed, _ = run("export", graph_path, "--format", form, "--width", "4", "-o", out, "--json")
    report = json.loads(printed)
    assert [path.name for path in out.iterdir()] == [NAMES[form]]
    assert report["files"] == {str(out / NAMES[form]): (out / NAMES[form]).stat().st_size}


def test_packed_arrays_come_back(run, graph_path, tmp_path):
    run("export", graph_path, "--format", "numpy", "-o", tmp_path / "out")
    found = packed_graph((tmp_path / "out" / "model-w8.npz").read_bytes())
    np.testing.assert_array_equal(found.layers[0].weight, make_graph().layers[0].weight)


def test_a_width_that_is_not_there(run, graph_path, tmp_path):
    out = tmp_path / "out"
    status, _, errors = run("export", graph_path, "--format", "c", "--width", "5", "-o", out)
    assert status == 1
    assert errors == "downshift: Network tiny runs at widths 8, 4, 2, not 5\n"
    assert not out.exists()
