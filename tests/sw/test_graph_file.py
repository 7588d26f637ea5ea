import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from tiny_graph import joined, make_graph, refused, split

from downshift.hw.errors import DownshiftError
from downshift.sim.random_networks import Feature, random_network
from downshift.sw.graph.graph_file import load_graph, save_graph


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


def test_a_graph_comes_back_as_it_was(tmp_path):
    save_graph(make_graph(), tmp_path / "a.safetensors")
    assert_same(load_graph(tmp_path / "a.safetensors"), make_graph())


@pytest.mark.parametrize("version", [3, 4, 5])
def test_older_versions_are_read(version):
    path = Path(__file__).parent / "formats" / f"graph-{version}.safetensors"
    assert_same(load_graph(path), make_graph())


@pytest.mark.parametrize("multiplier_width", [16, 24])
@pytest.mark.parametrize("seed", range(6))
def test_every_feature_comes_back(tmp_path, seed, multiplier_width):
    graph = random_network(
        np.random.default_rng(seed), features=tuple(Feature), multiplier_width=multiplier_width
    )
    assert graph.multiplier_width == multiplier_width
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
