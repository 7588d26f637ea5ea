# amaranth: UnusedElaboratable=no
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downshift.hw.protocol import END, ESC, ESC_END, ESC_ESC, decode_frame, encode_frame
from downshift.hw.slip import SlipDecoder, SlipEncoder, slip_decode, slip_encode
from downshift.sim.block_bench import run

SPECIAL = [END, ESC, ESC_END, ESC_ESC, 0, 1, 255]
BYTES = st.lists(st.one_of(st.sampled_from(SPECIAL), st.integers(0, 255)), max_size=40)


def symbols_of(content):
    return [*((byte, False) for byte in content), (0, True)]


@given(BYTES)
def test_decoding_undoes_encoding(content):
    assert slip_decode(slip_encode(symbols_of(content))) == symbols_of(content)


@given(st.binary(max_size=60))
def test_frames_survive(content):
    wire = encode_frame(content)
    assert wire[0] == wire[-1] == END
    assert END not in wire[1:-1]
    assert decode_frame(wire[1:-1]) == content


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_flipped_bit_is_noticed(content, draw):
    wire = bytearray(encode_frame(content)[1:-1])
    at = draw.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= 1 << draw.draw(st.integers(0, 7))
    assert decode_frame(bytes(wire)) != content


@pytest.mark.parametrize("gaps", [0.0, 0.5])
@settings(max_examples=15, deadline=None)
@given(content=BYTES)
def test_encoder_equals_golden(gaps, content):
    symbols = symbols_of(content)
    expected = slip_encode(symbols)
    values = [{"data": byte, "end": end} for byte, end in symbols]
    taken, _ = run(SlipEncoder(), {"i": values}, outputs={"o": len(expected)}, gaps=gaps)
    assert taken["o"] == expected


@pytest.mark.parametrize("gaps", [0.0, 0.5])
@settings(max_examples=15, deadline=None)
@given(content=BYTES)  # any bytes: garbage too
def test_decoder_equals_golden(gaps, content):
    content = [*content, END]
    expected = slip_decode(content)
    taken, cycles = run(SlipDecoder(), {"i": content}, outputs={"o": len(expected)}, gaps=gaps)
    assert [(o.data, bool(o.end)) for o in taken["o"]] == expected
    assert set(cycles["o"]) <= set(cycles["i"])
