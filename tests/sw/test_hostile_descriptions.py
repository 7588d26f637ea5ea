"""Graphs and packed networks whose descriptions say what cannot be."""

import io
import json

import numpy as np
import pytest
from absurd_values import ABSURD, places, replaced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_graph import joined, make_graph, split

from downshift.hw.errors import DownshiftError
from downshift.sw.exporting.packed import packed_bytes, packed_graph
from downshift.sw.graph.graph_file import METADATA_KEY, graph_bytes, load_graph
from downshift.sw.graph.integer_graph import IntegerGraph

HEADER, BODY = split(graph_bytes(make_graph()))
METADATA = HEADER["__metadata__"][METADATA_KEY]
PACKED = packed_bytes(make_graph(), 4)
OPTIONS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


def arrays():
    with np.load(io.BytesIO(PACKED)) as archive:
        return dict(archive)


DESCRIPTION = arrays()["network"].tobytes()
TYPES = st.sampled_from([np.int8, np.uint8, np.uint16, np.int64, np.float32, "U3", "datetime64[s]"])


def of_description(path, value, folder):
    """A graph from a file with another value, or an error of one sentence."""
    text = json.dumps(replaced(json.loads(METADATA), path, value))
    header = {**HEADER, "__metadata__": {METADATA_KEY: text}}
    (folder / "g").write_bytes(joined(header, BODY))
    return load_graph(folder / "g")


def of_header(path, value, folder):
    (folder / "g").write_bytes(joined(replaced(json.loads(json.dumps(HEADER)), path, value), BODY))
    return load_graph(folder / "g")


def of_packed(path, value, folder):
    text = json.dumps(replaced(json.loads(DESCRIPTION), path, value)).encode()
    return packed_graph(packed({"network": np.frombuffer(text, np.uint8)}))


def packed(changed):
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{**arrays(), **changed})
    return file.getvalue()


READERS = {
    "graph": (of_description, json.loads(METADATA)),
    "header": (of_header, HEADER),
    "packed": (of_packed, json.loads(DESCRIPTION)),
}


def check(make):
    try:
        assert isinstance(make(), IntegerGraph)
    except DownshiftError as error:
        assert len(str(error)) < 1000
        assert "\n" not in str(error)


def attack(data, folder):
    read, description = READERS[data.draw(st.sampled_from(sorted(READERS)))]
    path = data.draw(st.sampled_from(list(places(description))[1:]))
    value = data.draw(ABSURD)
    check(lambda: read(path, value, folder))


@settings(max_examples=600, **OPTIONS)
@given(data=st.data())
def test_absurd_descriptions(data, tmp_path):
    attack(data, tmp_path)


@pytest.mark.slow
@settings(max_examples=20_000, **OPTIONS)
@given(data=st.data())
def test_twenty_thousand_absurd_descriptions(data, tmp_path):
    attack(data, tmp_path)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(arrays())), kind=TYPES, shape=st.integers(0, 3))
def test_packed_arrays_of_other_types_and_shapes(name, kind, shape):
    array = arrays()[name]
    shapes = [array.reshape(-1), array.reshape(-1)[:-1], array[None], array.reshape(-1)[:0]]
    check(lambda: packed_graph(packed({name: shapes[shape].astype(kind)})))
