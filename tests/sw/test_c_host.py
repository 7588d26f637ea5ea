"""The host in C, and a line whose other end answers as it is told."""

import ctypes
import subprocess

import pytest

from downshift.hw.protocol import END, Command, LinkError, decode_frame, encode_frame
from downshift.sim.c_host import TRANSFER
from downshift.sw.device.spi_transport import IDLE
from downshift.sw.exporting.host_model import driver_texts

FINGERPRINT = 0x12345678
SHIM = f"""
#include "downshift.h"
static downshift_host host;
static const downshift_model model = {{ .fingerprint = {FINGERPRINT}u, .image_format = 1 }};
int load(downshift_transfer transfer, uint8_t tag)
{{
    downshift_init(&host, transfer, NULL);
    host.tag = tag;
    host.patience = 1000;
    host.attempts = 3;
    return downshift_load(&host, &model);
}}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    folder = tmp_path_factory.mktemp("host")
    for name, text in {**driver_texts(), "shim.c": SHIM}.items():
        (folder / name).write_text(text)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(
        ["gcc", *flags, "downshift.c", "shim.c", "-o", "host.so"], cwd=folder, check=True
    )
    return ctypes.CDLL(str(folder / "host.so"))


def load(host, answer, *, tag=0):
    """Load a model without sections; its status, and what was asked.

    `answer` makes the content of a reply from a request's number and content; None is silence.
    """
    asked, coming, pending = [], bytearray(), bytearray()

    @TRANSFER
    def transfer(_, out, back, count):
        sent = ctypes.string_at(out, count)
        # The other end sees a byte before it answers it.
        reply = bytes(coming[:count]).ljust(count, IDLE)
        del coming[:count]
        ctypes.memmove(back, reply, count)
        for byte in sent:
            if byte != END:
                pending.append(byte)
            elif pending:
                content = decode_frame(bytes(pending))
                pending.clear()
                assert content is not None
                asked.append((content[0], Command(content[1])))
                told = answer(len(asked), content)
                coming.extend(b"" if told is None else encode_frame(told))
        return 0

    return host.load(transfer, ctypes.c_uint8(tag)), asked


def right(content):
    """What an accelerator answers."""
    body = b""
    if content[1] == Command.INFO:
        body = bytes([3, 1, 0, 0]) + FINGERPRINT.to_bytes(4, "little")
    return bytes([content[0], content[1], LinkError.NONE]) + body


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda content: None, id="silence"),
        pytest.param(lambda content: bytes([0, 0, LinkError.BAD_FRAME]), id="damaged request"),
        pytest.param(lambda content: bytes([content[0] ^ 1, *right(content)[1:]]), id="other tag"),
        pytest.param(
            lambda content: bytes([content[0], Command.RUN, *right(content)[2:]]),
            id="other command",
        ),
    ],
)
@pytest.mark.parametrize("tag", [0, 254, 255])
def test_what_is_no_answer_is_asked_again(host, wrong, tag):
    status, asked = load(
        host, lambda number, content: (wrong if number == 1 else right)(content), tag=tag
    )
    first, second = (tag + 1) & 0xFF, (tag + 2) & 0xFF
    assert asked == [(first, Command.INFO), (first, Command.INFO), (second, Command.LOAD)]
    assert status == 0


def test_an_end_that_never_answers_is_given_up(host):
    status, asked = load(host, lambda number, content: None)
    assert (status, len(asked)) == (-2, 3)


def test_what_is_refused_is_told(host):
    def refuse(number, content):
        if content[1] == Command.LOAD:
            return bytes([content[0], content[1], LinkError.WRONG_FORMAT])
        return right(content)

    status, asked = load(host, refuse)
    assert (status, len(asked)) == (LinkError.WRONG_FORMAT, 2)
