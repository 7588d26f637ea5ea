"""Requests that write to activation memory, and read from it."""

from collections.abc import Iterator

from downshift.hw.protocol import Command

__all__ = ["MOST_BYTES", "Request", "read_request", "reads", "write_request", "writes"]

MOST_BYTES = 256
"""Of data in a request or reply."""

Request = tuple[Command, bytes]
"""A command and its payload."""


def write_request(address: int, content: bytes) -> Request:
    """Write bytes, `MOST_BYTES` at most."""
    return Command.WRITE, address.to_bytes(3, "little") + content


def read_request(address: int, size: int) -> Request:
    """Read bytes, `MOST_BYTES` at most."""
    return Command.READ, address.to_bytes(3, "little") + size.to_bytes(2, "little")


def writes(address: int, content: bytes) -> Iterator[Request]:
    """Write any number of bytes."""
    for start in range(0, len(content), MOST_BYTES):
        yield write_request(address + start, content[start : start + MOST_BYTES])


def reads(address: int, size: int) -> Iterator[Request]:
    """Read any number of bytes."""
    for start in range(0, size, MOST_BYTES):
        yield read_request(address + start, min(MOST_BYTES, size - start))
