import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from absurd_values import ABSURD, places, replaced
from hypothesis import given, settings
from hypothesis import strategies as st

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.table_config import TableConfig
from downshift.sim.random_networks import random_codes, random_network
from downshift.sw.compile.compiler import compile_graph
from downshift.sw.compile.image import Image, Section

CONFIG = AcceleratorConfig(weight_depth=4096, program_depth=2048, parameter_depth=1024)
GRAPH = random_network(np.random.default_rng(5))
IMAGE = compile_graph(GRAPH, CONFIG)
WHOLE = IMAGE.to_bytes()
PLAN = WHOLE[-struct.unpack_from("<I", WHOLE, 20 + 3 * 16 + 8)[0] :]


def with_bodies(bodies, fingerprint=CONFIG.fingerprint, version=1):
    """A file of any sections, all checksums right."""
    header = struct.pack("<8sIII", b"DWNSHIFT", version, fingerprint, len(bodies))
    offset = len(header) + 16 * len(bodies) + 4
    for section, body in bodies.items():
        header += struct.pack("<IIII", section, offset, len(body), zlib.crc32(body))
        offset += len(body)
    return header + struct.pack("<I", zlib.crc32(header)) + b"".join(bodies.values())


def with_plan(plan):
    """The image with another plan."""
    text = plan if isinstance(plan, bytes) else json.dumps(plan).encode()
    return with_bodies({**IMAGE.sections(), Section.PLAN: text})


@pytest.mark.parametrize("seed", range(8))
def test_images_come_back(seed, tmp_path):
    image = compile_graph(random_network(np.random.default_rng(seed)), CONFIG)
    image = replace(image, input_offset=-seed / 3)
    (tmp_path / "a.img").write_bytes(image.to_bytes())
    loaded = Image.load(tmp_path / "a.img")
    assert loaded.to_bytes() == image.to_bytes()
    assert (loaded.config, loaded.maps, loaded.macs) == (image.config, image.maps, image.macs)
    assert (loaded.network, loaded.input_scale) == (image.network, image.input_scale)
    assert loaded.input_offset == image.input_offset
    assert loaded.sections() == image.sections()


@pytest.mark.parametrize(
    ("style", "config", "crcs"),
    [
        ("brick", AcceleratorConfig(), (0xB15A58D3, 0xB614528D, 0x396FC89B)),
        ("table", TableConfig(), (0x7EA71810, 0x72D09904, 0xEFE80860)),
    ],
)
def test_older_images_are_read(style, config, crcs):
    image = Image.load(Path(__file__).parent / "formats" / f"image-1-{style}.img")
    assert (image.config, image.network, image.widths) == (config, "random", (8, 7, 6))
    assert (image.macs, image.maps[8][0].shape, image.input_scale) == (720, (7, 3, 2), 1.0)
    assert image.input_offset == 0
    assert tuple(image.checksum(section) for section in image.sections()) == crcs


def test_the_bench_rebuilds_the_image():
    assert with_plan(PLAN) == WHOLE


@pytest.mark.parametrize("width", GRAPH.widths)
def test_maps_come_back_from_bytes(width):
    codes = random_codes(np.random.default_rng(0), GRAPH, 1)[0]
    entry = IMAGE.maps[width][0]
    content = IMAGE.encode_input(codes, width)
    assert len(content) == entry.size
    assert np.array_equal(entry.decode(content), codes)
    last = IMAGE.maps[width][-1]
    logits = np.arange(-3, last.shape[2] - 3, dtype="<i4")
    content = logits.tobytes().ljust(last.pixel_bytes, b"\x55")
    one = replace(last, shape=(1, 1, last.shape[2]))
    assert one.decode(content).ravel().tolist() == logits.tolist()


def test_inputs_and_maps_that_do_not_exist_are_refused():
    with pytest.raises(DownshiftError, match=r"^Input must be uint8 of shape \(.*\), not int64 of"):
        IMAGE.encode_input(np.zeros(GRAPH.input_shape, int), 8)
    for name, width in (("nothing", 8), ("input", 3)):
        with pytest.raises(
            DownshiftError, match=f"^The image has no map '{name}' at width {width}$"
        ):
            IMAGE.map(name, width)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a is not a Downshift image; make one with `downshift export`"),
        (b"P" + WHOLE[1:], "a is not a Downshift image; make one with `downshift export`"),
        (WHOLE[:50], "a is truncated; export it again"),
        (WHOLE[:-1], "a is truncated; export it again"),
        (WHOLE[:30] + b"\x01" + WHOLE[31:], "a is damaged: its section table fails its checksum"),
        (WHOLE[:-1] + b"!", "a is damaged: section 16 fails its checksum"),
        (with_bodies({Section.PLAN: PLAN}), "a lacks its section PROGRAM; export it again"),
        (
            with_bodies({**IMAGE.sections(), 16: PLAN}, fingerprint=1),
            "a contradicts its own fingerprint; export it again",
        ),
        (
            with_bodies({}, version=2),
            "a has image format 2, this release reads 1; export it again",
        ),
    ],
)
def test_what_is_no_image_is_refused(content, message):
    with pytest.raises(DownshiftError) as caught:
        Image.from_bytes(content, name="a")
    assert str(caught.value) == message


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(DownshiftError, match=r"^Cannot read image .*a.img: No such file or dir"):
        Image.load(tmp_path / "a.img")


@settings(max_examples=300)
@given(st.integers(0, len(WHOLE) - 1))
def test_every_truncation_is_refused(size):
    with pytest.raises(DownshiftError):
        Image.from_bytes(WHOLE[:size])


@settings(max_examples=400)
@given(st.integers(0, 8 * len(WHOLE) - 1))
def test_every_flipped_bit_is_refused(place):
    damaged = bytearray(WHOLE)
    damaged[place // 8] ^= 1 << place % 8
    with pytest.raises(DownshiftError):
        Image.from_bytes(bytes(damaged))


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_noise_after_the_magic_is_refused(noise):
    with pytest.raises(DownshiftError):
        Image.from_bytes(b"DWNSHIFT" + noise)


@settings(max_examples=600)
@given(st.sampled_from(list(places(json.loads(PLAN)))[1:]), ABSURD)
def test_absurd_plans_are_refused_or_harmless(path, value):
    try:
        image = Image.from_bytes(with_plan(replaced(json.loads(PLAN), path, value)))
    except DownshiftError as error:
        assert len(str(error)) < 1000
        return
    for width in image.widths:
        for entry in image.maps[width]:
            assert 0 <= entry.base < entry.end <= CONFIG.activation_bytes
            entry.decode(bytes(entry.size))
        image.encode_input(np.zeros(image.maps[width][0].shape, np.uint8), width)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"3", b"null", b"\xff", b"[" * 100_000, b"9" * 10_000, b'{"config": 1}'],
)
def test_plans_that_are_no_plans_are_refused(text):
    with pytest.raises(DownshiftError, match=r"^image has no valid plan"):
        Image.from_bytes(with_plan(text))


@pytest.mark.parametrize(
    ("section", "body", "message"),
    [
        (Section.PROGRAM, bytes(8196), "section PROGRAM must be up to 2048 words of 4 bytes, not"),
        (Section.WEIGHTS, bytes(12), "section WEIGHTS must be up to 4096 words of 8 bytes, not 12"),
        (Section.PARAMETERS, bytes(17 << 10), "section PARAMETERS must be up to 1024 words of 16"),
    ],
)
def test_sections_beyond_their_stores_are_refused(section, body, message):
    with pytest.raises(DownshiftError, match=rf"^image has no valid plan \({message}"):
        Image.from_bytes(with_bodies({**IMAGE.sections(), Section.PLAN: PLAN, section: body}))
