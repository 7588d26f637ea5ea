"""The host's end of the IP core: requests as accesses to its registers and streams."""

from collections.abc import Callable
from typing import Protocol

from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import PROTOCOL_VERSION, Command, LinkError
from downshift.hw.register_map import IDENTITY, MAP_VERSION, register
from downshift.sw.device.link import AcceleratorError, SilentError, unknown_error
from downshift.sw.device.requester import Requester

__all__ = ["AxiLink", "AxiPort"]

MOST_BYTES = 1 << 14
"""Of one transfer of an image: DMA engines have a limit."""
MOST_READ = (1 << 16) - 1
COUNTERS = ("CYCLES", "BUSY_CYCLES", "TILE_LOAD_CYCLES", "FETCH_CYCLES", "WEIGHT_WORDS")


class AxiPort(Protocol):
    """Registers and streams of the core, however the host reaches them."""

    def read_register(self, offset: int) -> int:
        """Return a word of 32 bits."""
        ...

    def write_register(self, offset: int, value: int) -> None:
        """Write a word of 32 bits."""
        ...

    def send(self, content: bytes) -> None:
        """Begin to send all of `content`, which ends with a `last`; need not wait until it went."""
        ...

    def receive(self, size: int) -> bytes:
        """Return `size` bytes of the stream, the last of which is a `last`; empty if none come."""
        ...

    def stop(self) -> None:
        """Stop sending what is left of `send`, and forget what was received."""
        ...

    def wait(self) -> bool:
        """Wait for the interrupt, a while; return whether it came."""
        ...


class AxiLink(Requester):
    """Send requests to an IP core; see `register_map`.

    Parameters
    ----------
    port : AxiPort
    """

    def __init__(self, port: AxiPort):
        self.port = port
        self.bytes_sent = 0
        self._known = False

    def request(self, command: Command, payload: bytes = b"") -> bytes:
        """Send a request; see `Requester`."""
        self.bytes_sent += len(payload)

        def number(start, end):
            return int.from_bytes(payload[start:end], "little")

        if command == Command.INFO:
            self._meet()
            versions, status = self._read("VERSION"), self._read("STATUS")
            head = bytes([PROTOCOL_VERSION, versions >> 8 & 0xFF, status >> 16 & 0xF])
            return (
                head
                + bytes([versions >> 16 & 0xFF])
                + self._read("FINGERPRINT").to_bytes(4, "little")
            )
        if command == Command.LOAD:
            self._do(command, IMAGE_FORMAT=number(0, 1), IMAGE_FINGERPRINT=number(1, 5))
        elif command == Command.SECTION:
            self._do(command, SECTION=number(0, 1))
        elif command == Command.DATA:
            self._do(command, content=payload)
        elif command == Command.CHECK:
            self._do(command, CHECKSUM=number(0, 4), LENGTH=number(4, 7))
        elif command == Command.SCRUB:
            self._do(command, SECTION=number(0, 1), CHECKSUM=number(1, 5), LENGTH=number(5, 8))
        elif command == Command.RUN:
            self._do(command, WIDTH=number(0, 1))
            return self._counters()
        elif command == Command.CASCADE:
            self._do(command, CASCADE=number(0, 4), ADDRESS=number(4, 7), LENGTH=number(7, 8))
            return self._counters() + self._read("CASCADED").to_bytes(4, "little")
        elif command == Command.WRITE:
            self._do(command, content=payload[3:], ADDRESS=number(0, 3))
        else:
            return self.read(number(0, 3), number(3, 5))
        return b""

    def write(self, address: int, content: bytes) -> None:
        """Write to activation memory."""
        self.request(Command.WRITE, address.to_bytes(3, "little") + content)

    def read(self, address: int, size: int) -> bytes:
        """Read from activation memory."""
        parts = []
        for start in range(0, size, MOST_READ):
            count = min(MOST_READ, size - start)
            parts.append(self._do(Command.READ, take=count, ADDRESS=address + start, LENGTH=count))
        return b"".join(parts)

    def load_section(
        self, section: int, body: bytes, progress: Callable[[int], None] = lambda sent: None
    ) -> None:
        """Load a section of an image; see `Requester`."""
        self.request(Command.SECTION, bytes([section]))
        for start in range(0, len(body), MOST_BYTES):
            part = body[start : start + MOST_BYTES]
            self.request(Command.DATA, part)
            progress(start + len(part))

    def reset(self) -> None:
        """Start the core anew: whatever it does ends, and no image is loaded."""
        self.port.stop()
        self._write("RESET", 1)
        self._write("INTERRUPT_STATUS", 1)

    def _do(
        self, command: Command, *, content: bytes | None = None, take: int = 0, **registers: int
    ) -> bytes:
        """Do a command with arguments in registers; give it bytes, or take those it gives."""
        self._start(command, **registers)
        if content is not None:
            self.port.send(content)
        taken = self.port.receive(take) if take else b""
        ended = self.port.wait()
        error = self._read("STATUS") >> 8 & 0xFF
        if error not in set(LinkError):
            raise unknown_error(command, error)
        if ended and error != LinkError.NONE:
            raise AcceleratorError(LinkError(error))
        if not ended or len(taken) != take:
            self.reset()
            raise SilentError(
                f"The accelerator does not end {command.name}, which was given "
                f"{len(content or b'')} bytes and gave {len(taken)}; it was reset: load the image "
                "again"
            )
        return taken

    def _start(self, command: Command, **registers: int) -> None:
        if not self._known:
            self._meet()
        registers |= {"INTERRUPT_ENABLE": 1, "INTERRUPT_STATUS": 1, "COMMAND": command}
        for name, value in registers.items():
            self._write(name, value)

    def _counters(self) -> bytes:
        return b"".join(self._read(name).to_bytes(4, "little") for name in COUNTERS)

    def _meet(self) -> None:
        """Refuse what is no core of ours, or one of another release."""
        identity = self._read("ID")
        if identity != IDENTITY:
            raise DownshiftError(
                f"What answers is no accelerator: its identity is {identity:#010x}, not "
                f"{IDENTITY:#010x}; check the address"
            )
        version = self._read("VERSION") & 0xFF
        if version != MAP_VERSION:
            raise DownshiftError(
                f"The accelerator has version {version} of the register map, this release "
                f"{MAP_VERSION}; update its bitstream"
            )
        self._known = True

    def _read(self, name: str) -> int:
        return self.port.read_register(register(name).offset)

    def _write(self, name: str, value: int) -> None:
        self.port.write_register(register(name).offset, value)
