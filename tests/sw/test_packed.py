import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_graph import make_graph

from downshift.hw.errors import DownshiftError
from downshift.hw.precision_switch import precision_switch
from downshift.sim import golden
from downshift.sim.random_networks import Feature, random_network
from downshift.sw.exporting.packed import (
    pack_weights,
    packed_bytes,
    packed_graph,
    unpack_weights,
)
from downshift.sw.graph.integer_graph import INPUT


@given(st.integers(1, 8), st.integers(1, 60), st.integers(0, 99))
def test_codes_come_back(width, count, seed):
    codes = np.random.default_rng(seed).integers(-128, 128, count)
    codes = precision_switch(codes, width=width)
    packed = pack_weights(codes, width)
    assert packed.size == -(-count * width // 8)
    np.testing.assert_array_equal(unpack_weights(packed, width, (count,)), codes)


@pytest.mark.parametrize("seed", range(8))
def test_networks_come_back(seed):
    graph = random_network(
        np.random.default_rng(seed), features=tuple(Feature), multiplier_width=(16, 24)[seed % 2]
    )
    rng = np.random.default_rng(seed)
    for width in graph.widths:
        found = packed_graph(packed_bytes(graph, width))
        assert found.input_scale == graph.input_scale
        assert [layer.name for layer in found.layers] == [layer.name for layer in graph.layers]
        bits, _ = graph.codes_of(INPUT, width)
        codes = rng.integers(0, 1 << bits, (3, *graph.input_shape)).astype(np.uint8)
        ours, theirs = golden.run(graph, codes, width), golden.run(found, codes, width)
        np.testing.assert_array_equal(theirs.logits, ours.logits)
        for name, wanted in ours.codes.items():
            np.testing.assert_array_equal(theirs.codes[name], wanted)


def test_weights_take_their_bits(lowered):
    for width in lowered.widths:
        with np.load(io.BytesIO(packed_bytes(lowered, width))) as archive:
            stored = sum(archive[f"weight{i}"].size for i in range(len(lowered.layers)))
        assert stored == lowered.weight_bytes * width // 8


@pytest.mark.parametrize("data", [b"", b"PK", b"x" * 99])
def test_other_files(data):
    with pytest.raises(DownshiftError, match=r"^not a packed network, or a damaged one "):
        packed_graph(data)


def test_damage_gives_one_sentence(lowered):
    content, rng = packed_bytes(lowered, 4), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] ^= 1 << rng.integers(8)
        try:
            packed_graph(bytes(damaged[: rng.integers(1, len(content) + 1)]))
        except DownshiftError as error:
            assert "\n" not in str(error)


def test_older_versions_are_read():
    content = (Path(__file__).parent / "formats" / "packed-1.npz").read_bytes()
    found, graph = packed_graph(content), make_graph()
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << graph.codes_of(INPUT, 4)[0], (5, *graph.input_shape))
    ours, theirs = (golden.run(each, codes.astype(np.uint8), 4) for each in (graph, found))
    np.testing.assert_array_equal(theirs.logits, ours.logits)


def test_newer_versions_are_refused():
    with np.load(io.BytesIO(packed_bytes(make_graph(), 4))) as archive:
        arrays = dict(archive)
    described = arrays["network"].tobytes().replace(b'"version": 2', b'"version": 9')
    arrays["network"] = np.frombuffer(described, np.uint8)
    file = io.BytesIO()
    np.savez(file, **arrays)
    with pytest.raises(DownshiftError, match=r"^packed version 9 is unknown, this program reads 1"):
        packed_graph(file.getvalue())
