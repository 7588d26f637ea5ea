import json
import struct
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from downshift.hw.errors import DownshiftError
from downshift.sim.random_networks import Feature, random_network
from downshift.sw.graph_file import load_graph, save_graph
from downshift.sw.integer_graph import IntegerGraph, Layer, Pool, Setting


def make_setting(channels, width, *, last, seed, **residual):
    rng = np.random.default_rng(seed)
    return Setting(
        weight_width=width,
        in_width=width,
        out_width=32 if last else width,
        zero_point_in=1,
        zero_point_out=0 if last else 1,
        bias=rng.integers(-(2**31), 2**31, channels).astype(np.int32),
        multiplier=rng.integers(2**15, 2**16, channels).astype(np.uint16),
        shift=rng.integers(0, 64, channels).astype(np.uint8),
        **residual,
    )


def make_graph(widths=(8, 4, 2)):
    rng = np.random.default_rng(0)
    first = Layer(
        name="conv",
        weight=rng.integers(-128, 128, (4, 1, 3, 3)).astype(np.int8),
        stride=(1, 1),
        padding=(1, 1, 1, 1),
        pool=Pool(size=(2, 2), stride=(2, 2)),
        settings={width: make_setting(4, width, last=False, seed=width) for width in widths},
    )
    added = {"residual_multiplier": np.uint16([1, 9, 1 << 15, 65535]), "residual_shift": 6}
    middle = Layer(
        name="depth",
        weight=rng.integers(-128, 128, (4, 1, 3, 3)).astype(np.int8),
        stride=(1, 1),
        padding=(1, 1, 1, 1),
        pool=None,
        settings={
            width: make_setting(4, width, last=False, seed=width + 5, **added) for width in widths
        },
        groups=4,
        source="conv",
        residual="conv",
    )
    last = Layer(
        name="fc",
        weight=rng.integers(-128, 128, (3, 4, 2, 2)).astype(np.int8),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        pool=None,
        settings={width: make_setting(3, width, last=True, seed=width + 9) for width in widths},
    )
    return IntegerGraph(
        name="tiny",
        input_shape=(4, 4, 1),
        input_scale=1 / 3,
        layers=(first, middle, last),
        provenance={"trained on": "digits", "größe": "é"},
    )


def assert_same(left, right):
    """Compare dataclasses, mappings, tuples and arrays, exactly and with their types."""
    assert type(left) is type(right)
    if isinstance(left, np.ndarray):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    elif isinstance(left, dict):
        assert set(left) == set(right)
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, tuple):
        assert len(left) == len(right)
        for pair in zip(left, right, strict=True):
            assert_same(*pair)
    elif hasattr(left, "__dataclass_fields__"):
        for field in fields(left):
            assert_same(getattr(left, field.name), getattr(right, field.name))
    else:
        assert left == right


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "tiny.safetensors"
    save_graph(make_graph(), path)
    return path.read_bytes()


def split(data):
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def joined(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def refused(tmp_path, data):
    """Load bytes that must be refused, and return the message without the path."""
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(DownshiftError) as caught:
        load_graph(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_a_graph_comes_back_as_it_was(tmp_path):
    save_graph(make_graph(), tmp_path / "a.safetensors")
    assert_same(load_graph(tmp_path / "a.safetensors"), make_graph())


@pytest.mark.parametrize("seed", range(6))
def test_every_feature_comes_back(tmp_path, seed):
    graph = random_network(np.random.default_rng(seed), features=tuple(Feature))
    save_graph(graph, tmp_path / "a.safetensors")
    assert_same(load_graph(tmp_path / "a.safetensors"), graph)


def test_equal_graphs_give_equal_bytes(tmp_path):
    save_graph(make_graph((8, 4, 2)), tmp_path / "a")
    save_graph(make_graph((2, 4, 8)), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_safetensors_reader_finds_the_weights_once(tmp_path):
    save_graph(make_graph(), tmp_path / "a")
    tensors = load_file(tmp_path / "a")
    np.testing.assert_array_equal(tensors["conv.weight"], make_graph().layers[0].weight)
    assert sum(name.endswith("weight") for name in tensors) == 3


def test_missing_file(tmp_path):
    with pytest.raises(
        DownshiftError, match=r"^Cannot read .*none: No such file or directory; check the path$"
    ):
        load_graph(tmp_path / "none")
    with pytest.raises(DownshiftError, match=r"^Cannot read .*: Is a directory; check the path$"):
        load_graph(tmp_path)
    with pytest.raises(DownshiftError, match=r"^Cannot read 'a\\x00': embedded null byte$"):
        load_graph("a\0")


@pytest.mark.parametrize("data", [b"", b"\x80\x04." * 100, b"\xff" * 64, bytes(64)])
def test_other_files(tmp_path, data):
    assert refused(tmp_path, data).startswith("not a safetensors file")


def test_a_checkpoint_is_told_apart(tmp_path):
    message = refused(tmp_path, b"PK\3\4")
    assert message == "not an integer graph; make one with `downshift export`"


def test_every_truncation_is_refused(tmp_path, saved):
    for size in range(0, len(saved), 7):
        refused(tmp_path, saved[:size])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_flipped_bit_is_refused(tmp_path, saved, data):
    bit = data.draw(st.integers(0, 8 * len(saved) - 1))
    flipped = bytearray(saved)
    flipped[bit // 8] ^= 1 << bit % 8
    refused(tmp_path, bytes(flipped))


def test_another_spelling_of_the_same_is_refused(tmp_path, saved):
    for old, new in ((b"u00f6", b"u00F6"), (rb"\"name\":", rb" \"name\":")):
        assert saved.count(old) >= 1
        changed = saved.replace(old, new, 1)
        size = int.from_bytes(saved[:8], "little") + len(new) - len(old)
        message = refused(tmp_path, size.to_bytes(8, "little") + changed[8:])
        assert message == "the checksum does not match, so the file is damaged"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_splices_raise_nothing_else(tmp_path, saved, data):
    start = data.draw(st.integers(0, len(saved)))
    end = data.draw(st.integers(start, len(saved)))
    patch = data.draw(st.binary(max_size=40) | st.just(saved[: end - start]))
    (tmp_path / "spliced").write_bytes(saved[:start] + patch + saved[end:])
    try:
        load_graph(tmp_path / "spliced")
    except DownshiftError as error:
        assert "\n" not in str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=3), values),
    max_leaves=6,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_anywhere_in_the_metadata_is_refused(tmp_path, saved, data):
    header, body = split(saved)
    metadata = json.loads(header["__metadata__"]["downshift"])
    spot, path = metadata, []
    while isinstance(spot, dict | list) and spot:
        keys = sorted(spot) if isinstance(spot, dict) else range(len(spot))
        path.append((spot, data.draw(st.sampled_from(list(keys)))))
        spot = spot[path[-1][1]]
        if data.draw(st.booleans()):
            break
    place, key = path[-1]
    value = data.draw(JSON)
    if json.dumps(place[key]) == json.dumps(value):
        return
    place[key] = value
    header["__metadata__"]["downshift"] = json.dumps(metadata)
    refused(tmp_path, joined(header, body))


def with_metadata(saved, change):
    header, body = split(saved)
    metadata = json.loads(header["__metadata__"]["downshift"])
    change(metadata)
    header["__metadata__"]["downshift"] = json.dumps(metadata)
    return joined(header, body)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m.update(schema_version=1),
            (
                "schema version 1 is unknown, this program reads 2; "
                "export the model again or update downshift"
            ),
        ),
        (lambda m: m.pop("name"), "model: entry 'name' is missing"),
        (lambda m: m.update(code="x"), "model: entry 'code' is unknown"),
        (
            lambda m: m["layers"][2].update(stride=[0, 1]),
            "layer 'fc': stride must be 2 integers in 1..65536, not [0, 1]",
        ),
        (
            lambda m: m["layers"][0].update(shape=[1 << 16, 1 << 16, 1 << 16, 1 << 16]),
            (
                "layer 'conv': tensor 'conv.weight' must be int8 of shape "
                "(65536, 65536, 65536, 65536), not int8 of shape (4, 1, 3, 3)"
            ),
        ),
        (
            lambda m: m["layers"][0]["settings"].pop("4"),
            "tensor 'conv.bias.w4' belongs to no layer",
        ),
        (
            lambda m: m["layers"][0]["settings"]["4"].update(in_width=9),
            "Layer conv at width 4: weights and input must have 2 to 8 bits, not 4 and 9",
        ),
        (
            lambda m: m["layers"][0]["settings"]["4"].update(zero_point_out=-1),
            "layer 'conv' at width 4: zero_point_out must be in 0..255, not -1",
        ),
        (
            lambda m: m["layers"][1].update(groups=True),
            "layer 'depth': groups must be in 1..65536, not True",
        ),
        (
            lambda m: m["layers"][1].update(groups=2),
            (
                "Layer depth: groups must be 1 or the channels of input and output, "
                "not 2 with 2 and 4 channels"
            ),
        ),
        (
            lambda m: m["layers"][1].update(average=0),
            "layer 'depth': average must be true or false, not 0",
        ),
        (
            lambda m: m["layers"][1].update(source="a\nb"),
            "layer 'depth': source must be printable text, not 'a\\nb'",
        ),
        (
            lambda m: m["layers"][1].update(source="fc"),
            (
                "Layer depth takes the map 'fc', which no layer before it gives; "
                "name 'input' or an earlier layer"
            ),
        ),
        (
            lambda m: m["layers"][1].update(residual=["conv"]),
            "layer 'depth': residual must be printable text, not ['conv']",
        ),
        (
            lambda m: m["layers"][1].update(residual=None),
            "tensor 'depth.residual_multiplier.w2' belongs to no layer",
        ),
        (
            lambda m: m["layers"][0].update(residual="input"),
            "layer 'conv' at width 2: tensor 'conv.residual_multiplier.w2' is missing",
        ),
        (lambda m: m["layers"][2].pop("average"), "layer 2: entry 'average' is missing"),
        (
            lambda m: m["layers"][1]["settings"]["4"].update(residual_shift=7),
            "Layer depth at width 4: residual shift must be in 0..6, not 7",
        ),
        (
            lambda m: m["layers"][2]["settings"]["4"].update(residual_shift=1),
            (
                "Layer fc at width 4: residual multipliers and shift are for a layer with a "
                "residual; give it one, or leave them out"
            ),
        ),
        (
            lambda m: m["layers"][0]["settings"].update({"9": {}}),
            "layer 'conv': a width must be 2 to 8 bits, not '9'",
        ),
        (
            lambda m: m.update(input_scale=float("nan")),
            "input_scale must be a positive number, not nan",
        ),
        (lambda m: m.update(name="a\nb"), "model: name must be printable text, not 'a\\nb'"),
        (lambda m: m.update(name="b"), "the checksum does not match, so the file is damaged"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path, saved, change, message):
    assert refused(tmp_path, with_metadata(saved, change)) == message


def with_header(saved, change):
    header, body = split(saved)
    change(header)
    return joined(header, body)


DAMAGED = "tensor 'fc.weight' does not fit into the file, which is damaged"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda h: h.pop("__metadata__"),
            "no Downshift model, since the metadata entry 'downshift' is missing",
        ),
        (lambda h: h["fc.weight"].update(shape=[1 << 62] * 4), DAMAGED),
        (lambda h: h["fc.weight"].update(data_offsets=[0, 1 << 60]), DAMAGED),
        (
            lambda h: h["fc.weight"].update(dtype="F32"),
            "tensor 'fc.weight' has type 'F32', which no model has",
        ),
        (
            lambda h: h["fc.weight"].update(shape=[4, 3, 2, 2]),
            (
                "layer 'fc': tensor 'fc.weight' must be int8 of shape (3, 4, 2, 2), "
                "not int8 of shape (4, 3, 2, 2)"
            ),
        ),
        (
            lambda h: h["fc.weight"].update(dtype="U8"),
            (
                "layer 'fc': tensor 'fc.weight' must be int8 of shape (3, 4, 2, 2), "
                "not uint8 of shape (3, 4, 2, 2)"
            ),
        ),
        (
            lambda h: h.update({"fc.other": h.pop("fc.weight")}),
            "layer 'fc': tensor 'fc.weight' is missing",
        ),
        (
            lambda h: h["fc.weight"].update(data_offsets=h["conv.weight"]["data_offsets"]),
            DAMAGED,
        ),
        (
            lambda h: h["fc.bias.w8"].update(data_offsets=h["fc.bias.w4"]["data_offsets"]),
            "tensors overlap or leave gaps, so the file is damaged",
        ),
        (
            lambda h: h.update(empty={"dtype": "I8", "shape": [0], "data_offsets": [0, 0]}),
            "tensor 'empty' is described wrongly, so the file is damaged",
        ),
    ],
)
def test_header_that_does_not_fit(tmp_path, saved, change, message):
    assert refused(tmp_path, with_header(saved, change)) == message


def test_names_given_twice(tmp_path, saved):
    header, body = split(saved)
    text = json.dumps(header).encode()
    twice = text[:-1] + b', "fc.weight": ' + json.dumps(header["fc.weight"]).encode() + b"}"
    assert refused(tmp_path, joined(twice, body)) == "the header gives 'fc.weight' twice"


def test_data_left_over(tmp_path, saved):
    assert "bytes of data instead of" in refused(tmp_path, saved + b"\0")


def test_nesting_without_end(tmp_path):
    assert "is not JSON" in refused(tmp_path, joined(b"[" * 200_000, b""))
