"""A graph as small as can be, as a file, and its parts."""

import json
import struct

import numpy as np
import pytest

from downshift.hw.errors import DownshiftError
from downshift.sw.graph.graph_file import load_graph
from downshift.sw.graph.integer_graph import IntegerGraph, Layer, Pool, Setting


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
        logit_scales={width: 0.1 / width for width in widths},
        provenance={"trained on": "digits", "größe": "é"},
    )


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
