"""The link over SPI."""

from collections.abc import Callable

from downshift.hw.protocol import END

__all__ = ["IDLE", "SpiTransport"]

IDLE = bytes([END])
"""What is sent while there is nothing to say; it means nothing between frames."""
CHUNK = 64
"""Bytes exchanged at once."""
QUIET_CHUNKS = 16
"""Without a byte: nothing is on its way any more."""
MOST_CHUNKS = 256
"""More than can be on its way."""


class SpiTransport:
    """Carry bytes over SPI; a `downshift.sw.device.driver.Transport`.

    Parameters
    ----------
    transfer : callable
        Exchanges bytes: called with those to send, 64 at most, it returns those that came back
        meanwhile, as many; such as ``lambda content: bytes(spi.xfer2(list(content)))`` of Linux'
        spidev. Mode 0, and a clock of at most an eighth of the accelerator's.
    patience : int
        Bytes that `read` exchanges before it gives up: longer than a frame takes.
    """

    def __init__(self, transfer: Callable[[bytes], bytes], *, patience: int = 1_000_000):
        self.transfer = transfer
        self.patience = patience
        self._received = b""
        self._open = False  # what was read last goes on

    def write(self, content: bytes) -> None:
        """Send all of `content`."""
        for start in range(0, len(content), CHUNK):
            self._received += self.transfer(content[start : start + CHUNK])

    def read(self) -> bytes:
        """Return what has arrived, waiting for at least a byte; empty if none comes."""
        for _ in range(max(1, self.patience // CHUNK)):
            if self._received.strip(IDLE) or (self._open and self._received):
                break
            self._received = self.transfer(IDLE * CHUNK)
        else:
            self._received = b""
        arrived, self._received = self._received, b""
        self._open = bool(arrived) and not arrived.endswith(IDLE)
        return arrived

    def drain(self) -> None:
        """Forget what arrives until nothing comes for `QUIET_CHUNKS`, or the line is stuck."""
        self._received, self._open = b"", False
        quiet = 0
        for _ in range(MOST_CHUNKS):
            quiet = 0 if self.transfer(IDLE * CHUNK).strip(IDLE) else quiet + 1
            if quiet == QUIET_CHUNKS:
                break
