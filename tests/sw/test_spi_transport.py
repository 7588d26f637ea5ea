"""SPI as a link: replies at every place of an exchange, and lines on which nobody is."""

import subprocess

import pytest

from downshift.hw.protocol import Command, decode_frame, encode_frame
from downshift.sw.device.driver import Accelerator
from downshift.sw.device.link import SilentError
from downshift.sw.device.spi_transport import CHUNK, SpiTransport
from downshift.sw.exporting.host_model import driver_texts

IDLE = b"\xc0"
INFORMATION = bytes([3, 1, 0, 1, 1, 2, 3, 0xC0])
MAIN = """
#include "downshift.h"
#include <stdlib.h>
#include <string.h>
static unsigned transfers;
static int transfer(void *level, const uint8_t *out, uint8_t *in, size_t count)
{
    (void)out;
    transfers++;
    memset(in, *(int *)level, count);
    return 0;
}
int main(int argc, char **argv)
{
    int level = atoi(argv[argc - 1]);
    downshift_host host;
    downshift_model model;
    memset(&model, 0, sizeof model);
    downshift_init(&host, transfer, &level);
    host.patience = 20000;
    int status = downshift_load(&host, &model);
    return status == DOWNSHIFT_SILENT && transfers < 10000 ? 0 : 1;
}
"""


class Device:
    """Answers INFO so many bytes after the request."""

    def __init__(self, delay):
        self.delay = delay
        self.request, self.out = b"", b""

    def transfer(self, content):
        out, self.out = self.out[: len(content)].ljust(len(content), IDLE), self.out[len(content) :]
        self.request += content
        parts = [part for part in self.request.split(IDLE) if part]
        if parts and self.request.endswith(IDLE):
            tag, command = decode_frame(parts[-1])[:2]
            assert command == Command.INFO
            self.request = b""
            reply = encode_frame(bytes([tag, command, 0]) + INFORMATION)
            self.out = IDLE * self.delay + reply
        return out


@pytest.mark.parametrize("delay", range(CHUNK))
def test_replies_are_read_wherever_they_lie(delay):
    device = Device(delay)
    accelerator = Accelerator(SpiTransport(device.transfer, patience=2000))
    for _ in range(3):
        assert accelerator.information().fingerprint == 0xC0030201
    assert accelerator.link.tag == 3


@pytest.mark.parametrize("level", [0x00, 0xC0, 0xFF, 0x5A])
def test_a_line_without_an_accelerator_is_told(level):
    accelerator = Accelerator(SpiTransport(lambda c: bytes([level]) * len(c), patience=2000))
    with pytest.raises(SilentError, match="does not answer INFO"):
        accelerator.information()


def test_the_host_in_c_tells_it_too(tmp_path):
    for name, text in {**driver_texts(), "main.c": MAIN}.items():
        (tmp_path / name).write_text(text)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror"]
    command = ["gcc", *flags, "downshift.c", "main.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    for level in (0x00, 0xC0, 0xFF, 0x5A):
        subprocess.run([tmp_path / "main", str(level)], check=True, timeout=20)
