import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import make_model, reference, translated

from downshift.hw.errors import DownshiftError
from downshift.sw.importing.onnx_file import onnx_model, read_onnx
from downshift.sw.importing.onnx_tensors import MAX_ELEMENTS

W = np.arange(4 * 3, dtype=np.float32).reshape(4, 3, 1, 1)


def plain(**more):
    return make_model([("Conv", ["x", "w"], ["y"])], (3, 5, 5), constants={"w": W}, **more)


def refused(model):
    with pytest.raises(DownshiftError) as caught:
        onnx_model(model.SerializeToString())
    return str(caught.value)


def test_what_a_file_holds():
    model = onnx_model(plain(opset=13).SerializeToString())
    assert (model.input_name, model.input_shape, model.outputs) == ("x", (1, 3, 5, 5), ("y",))
    assert (model.opset, model.producer, model.input_offset) == (13, "tests", None)
    assert [node.op for node in model.nodes] == ["Conv"]
    np.testing.assert_array_equal(model.constants["w"], W)


def test_nodes_are_put_in_order():
    nodes = [("Conv", ["x", "w"], ["a"]), ("Relu", ["a"], ["b"]), ("Relu", ["b"], ["y"])]
    model = make_model(nodes, (3, 5, 5), constants={"w": W})
    swapped = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(swapped)
    assert [node.outputs for node in onnx_model(model.SerializeToString()).nodes] == [
        ("a",), ("b",), ("y",),
    ]  # fmt: skip


def test_cycles_are_refused():
    model = make_model(
        [("Relu", ["y"], ["a"]), ("Relu", ["a"], ["y"])], (3, 5, 5), constants={"w": W}
    )
    assert refused(model).endswith("takes what comes from itself: the graph is cyclic")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda m: m.graph.ClearField("initializer"),
         "node Conv_0 takes w, which nothing gives: an initializer is missing; export it again"),
        (lambda m: m.graph.initializer.append(m.graph.initializer[0]),
         "initializer w is there twice"),
        (lambda m: m.graph.initializer[0].dims.append(1 << 40),
         "tensor w claims the shape [4, 3, 1, 1, 1099511627776]; it is damaged"),
        (lambda m: m.graph.initializer[0].dims.append(7),
         "tensor w holds 48 bytes instead of 336; it is damaged"),
        (lambda m: m.graph.initializer[0].dims.append(-1),
         "tensor w claims the shape [4, 3, 1, 1, -1]; it is damaged"),
        (lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.STRING),
         "tensor w holds STRING, not numbers"),
        (lambda m: setattr(m.graph.initializer[0], "data_type", 99),
         "tensor w holds type 99, not numbers"),
        (lambda m: m.opset_import.__delitem__(0),
         "opset 0 is not supported, 7 and later are; convert it with onnx.version_converter"),
        (lambda m: m.graph.input.append(helper.make_tensor_value_info("z", 1, [1, 2])),
         "a network must have one input, not 2 (x, z)"),
        (lambda m: m.graph.input[0].type.tensor_type.shape.dim[2].ClearField("dim_value"),
         "input x must have fixed sizes in 1..65536 after the batch's, not ['N', 3, '', 5]"),
        (lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 1 << 40),
         "input x must have fixed sizes in 1..65536 after the batch's, not ['N', 1<<40, 5, 5]"
         .replace("1<<40", str(1 << 40))),
        (lambda m: m.graph.ClearField("output"), "the graph has no output; export it again"),
        (lambda m: setattr(m.graph.output[0], "name", "z"), "no node gives the output z"),
        (lambda m: m.graph.ClearField("node"),
         "not an ONNX file, or one without operations; export it again"),
    ],
)  # fmt: skip
def test_damage_is_named(change, message):
    model = plain()
    change(model)
    assert refused(model) == message


@pytest.mark.parametrize("data", [b"PK\3\4", b"\x08", b"\xff" * 50, b"{}"])
def test_other_files(tmp_path, data):
    path = tmp_path / "a.onnx"
    path.write_bytes(data)
    with pytest.raises(DownshiftError, match=r"^.*a\.onnx: not an ONNX file, or "):
        read_onnx(path)
    with pytest.raises(DownshiftError, match=r"^Cannot read .*: No such file or directory; check"):
        read_onnx(tmp_path / "none")
    with pytest.raises(DownshiftError, match=r"^Cannot read 'a\\x00': embedded null byte$"):
        read_onnx("a\0")


def external(tmp_path, **entries):
    """A model whose weights are said to lie in another file."""
    model = plain()
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "w.bin").write_bytes(b"1234" + data)
    (tmp_path / "w.bin").write_bytes(data)
    (tmp_path / "inside" / "link.bin").symlink_to(tmp_path / "w.bin")
    onnx.save(model, tmp_path / "inside" / "a.onnx")
    return tmp_path / "inside" / "a.onnx"


def test_external_data_is_read(tmp_path):
    model = read_onnx(external(tmp_path, location="w.bin", offset="4", length="48"))
    np.testing.assert_array_equal(model.constants["w"], W)


@pytest.mark.parametrize("location", ["../w.bin", "/etc/hostname", "", "link.bin", ".", "none"])
def test_external_data_outside_the_folder_is_refused(tmp_path, location):
    with pytest.raises(DownshiftError, match=r"which is no file inside the model's folder$"):
        read_onnx(external(tmp_path, location=location))


@pytest.mark.parametrize(
    "entries", [{"offset": "5"}, {"offset": "-1"}, {"length": "47"}, {"length": str(1 << 50)}]
)
def test_external_data_must_fit(tmp_path, entries):
    with pytest.raises(DownshiftError, match=r"tensor w does not fit into its data file 'w\.bin'$"):
        read_onnx(external(tmp_path, location="w.bin", **entries))


@pytest.mark.parametrize("dtype", ["float16", "float64", "int64", "uint8", "bool"])
def test_types_of_constants(dtype):
    array = np.array([0, 1, 3]).astype(dtype)
    model = make_model([("Relu", ["x"], ["y"])], (3,), constants={"w": array})
    found = onnx_model(model.SerializeToString()).constants["w"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4, TensorProto.BFLOAT16])
def test_types_that_numpy_lacks(kind):
    model = make_model([("Relu", ["x"], ["y"])], (3,), constants={})
    model.graph.initializer.append(helper.make_tensor("w", kind, [3], [0, 1, 3]))
    found = onnx_model(model.SerializeToString()).constants["w"]
    assert found.astype(int).tolist() == [0, 1, 3]


def test_shapes_of_constants_do_not_explode():
    nodes = [("Concat", ["w", "w"], ["c0"], {"axis": 0})]
    nodes += [("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], {"axis": 0}) for i in range(40)]
    fates = translated(make_model([*nodes, ("Add", ["x", "c40"], ["y"])], (3,), constants={"w": W}))
    reason = f"constants of more than {MAX_ELEMENTS:,} elements are too many"
    assert reason in [fate.detail for fate in fates.refused]


def test_the_reference_agrees_on_what_is_read():
    x = np.ones((1, 3, 5, 5), np.float32)
    assert reference(plain(), x).shape == (1, 4, 5, 5)
