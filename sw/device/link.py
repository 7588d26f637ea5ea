"""The host's end of the link: requests that arrive exactly once, whatever the line does."""

from collections.abc import Callable, Iterable
from typing import Protocol

from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import (
    END,
    ERROR_SENTENCES,
    ONCE,
    REPLY_BYTES,
    Command,
    LinkError,
    decode_frame,
    encode_frame,
)
from downshift.sw.device.memory_requests import (
    MOST_BYTES,
    Request,
    read_request,
    write_request,
)
from downshift.sw.device.pipeline import Pipeline
from downshift.sw.device.requester import Requester

__all__ = ["AcceleratorError", "Link", "SilentError", "Transport", "unknown_error"]

LEAST_BYTES = 16
"""Of data in a request or reply while the line is bad, since long frames seldom survive."""
GOOD_IN_A_ROW = 8
"""Requests that arrive at once, until they become longer again."""
FIRST_ATTEMPTS = 3
"""While nothing has ever been heard: perhaps there is nobody."""
ATTEMPTS = 16
MOST_HEARD = 1 << 14
"""Bytes that are looked at for a reply: what goes on longer is noise, or a line that is stuck."""
FEW_ATTEMPTS = 3
"""For what may be shorter."""


class Transport(Protocol):
    """A link that carries bytes both ways."""

    def write(self, content: bytes) -> None:
        """Send all of `content`."""
        ...

    def read(self) -> bytes:
        """Return what has arrived, waiting a while for at least a byte; empty if none comes."""
        ...

    def drain(self) -> None:
        """Forget what has arrived and what is on its way: wait until nothing comes any more."""
        ...


class AcceleratorError(DownshiftError):
    """The accelerator refused a request.

    Parameters
    ----------
    error : LinkError
        Its reason.
    """

    def __init__(self, error: LinkError):
        super().__init__(f"The accelerator refused ({error.name}): {ERROR_SENTENCES[error]}")
        self.error = error


def unknown_error(command: Command, error: int) -> DownshiftError:
    """What to raise for an error of a later release."""
    return DownshiftError(
        f"The accelerator answers {command.name} with error {error}, which this release does not "
        "know; update it"
    )


class SilentError(DownshiftError):
    """The accelerator does not answer."""


class Link(Requester):
    """Send requests and get their replies over a transport that may lose and damage bytes.

    Parameters
    ----------
    transport : Transport
    """

    def __init__(self, transport: Transport):
        self.transport = transport
        self.bytes_sent = 0
        self.tag = 0  # of the last request
        self._received = b""
        self._heard = False
        # The accelerator knows which request came last, as it must before what is done but once.
        self.in_step = False
        self._damaged = False  # the last request
        self._most = MOST_BYTES
        self._good = 0
        self._ahead: Pipeline | None = None  # what is sending ahead

    def request(self, command: Command, payload: bytes = b"", *, attempts: int = ATTEMPTS) -> bytes:
        """Send a request; see `Requester`.

        A request that was damaged on the line, or whose reply was, is sent again with its tag,
        which tells the accelerator that it is the same one. While nothing was ever heard, that is
        not done as often as `attempts` says.
        """
        if command in ONCE and not self.in_step:
            self.request(Command.INFO)
        self.tag = (self.tag + 1) & 0xFF
        for _ in range(min(attempts, self._attempts)):
            body = self._attempt(command, payload)
            if body is not None:
                return body
        raise self._gone(command)

    def write(self, address: int, content: bytes) -> None:
        """Write to activation memory."""
        self._in_parts(
            len(content), lambda start, end: write_request(address + start, content[start:end])
        )

    def read(self, address: int, size: int) -> bytes:
        """Read from activation memory."""
        return self._in_parts(size, lambda start, end: read_request(address + start, end - start))

    def load_section(
        self, section: int, body: bytes, progress: Callable[[int], None] = lambda sent: None
    ) -> None:
        """Load a section of an image; see `Requester`.

        What came after it cannot be told from a part whose reply was lost, if it is cut otherwise:
        where parts turn out too long for the line, the section begins again.
        """
        while True:
            self.request(Command.SECTION, bytes([section]))
            length = self._most
            attempts = ATTEMPTS if length == LEAST_BYTES else FEW_ATTEMPTS
            try:
                for start in range(0, len(body), length):
                    part = body[start : start + length]
                    self.request(Command.DATA, part, attempts=attempts)
                    progress(start + len(part))
                return
            except (AcceleratorError, SilentError) as error:
                damaged = isinstance(error, SilentError) or error.error == LinkError.BAD_FRAME
                if length == LEAST_BYTES or not damaged:
                    raise

    def pipeline(self) -> Pipeline | None:
        """Return what sends requests ahead; None while the line is bad."""
        if self._most < MOST_BYTES:
            return None
        if not self.in_step:
            self.request(Command.INFO)
        self._interrupt()
        self._ahead = Pipeline(self)
        return self._ahead

    def send(self, command: Command, payload: bytes) -> int:
        """Send a request once, and return its tag."""
        self.tag = (self.tag + 1) & 0xFF
        self._send(command, payload)
        return self.tag

    def receive(self, asked: Iterable[tuple[int, Command]]) -> bytes | None:
        """Return the next reply to one of some requests, tags and commands, or to a damaged one.

        Tag, command, error, and what it carries; None if none comes.
        """
        wanted = set(asked)
        heard = 0
        while heard < MOST_HEARD:
            before, end, after = self._received.partition(bytes([END]))
            if end:
                self._received = after
                content = decode_frame(before) if before else None
                if content and len(content) >= 3 and _answers(wanted, content):
                    return content
                continue
            arrived = self.transport.read()
            if not arrived:
                break
            heard += len(arrived)
            self._received += arrived
        self._received = b""
        return None

    def carried(self, command: Command, payload: bytes, reply: bytes) -> bytes:
        """Return what a reply without an error carries; raise if that cannot be."""
        body, due = reply[3:], REPLY_BYTES.get(command, 0)
        if command == Command.READ:
            due = int.from_bytes(payload[3:], "little")
        if len(body) != due:
            raise DownshiftError(
                f"The accelerator answers {command.name} with {len(body)} bytes instead of "
                f"{due}; update its bitstream"
            )
        return body

    def shorten(self) -> None:
        """Make requests shorter, since one did not get through."""
        self._good, self._most = 0, max(LEAST_BYTES, self._most // 2)

    def forget(self) -> None:
        """Drop what may still come of what was sent.

        Noise may end frames and begin others: more replies may come, and a request that the
        accelerator does not see whole, busy with them, would only make another one.
        """
        self._received = b""
        self.transport.drain()

    def _in_parts(self, size: int, part: Callable[[int, int], Request]) -> bytes:
        """Ask for parts of `size` bytes, as long as the line allows; any may be asked for twice."""
        got, start, failed = [], 0, 0
        while start < size:
            end = min(size, start + self._most)
            self.tag = (self.tag + 1) & 0xFF
            command, payload = part(start, end)
            body = self._attempt(command, payload)
            if body is not None:
                got.append(body)
                start, failed = end, 0
                continue
            failed += 1
            if failed == self._attempts:
                raise self._gone(command)
        return b"".join(got)

    @property
    def _attempts(self) -> int:
        return ATTEMPTS if self._heard else FIRST_ATTEMPTS

    def _attempt(self, command: Command, payload: bytes) -> bytes | None:
        """Send a request once; return what its reply carries, None if there is none."""
        self._interrupt()
        self._send(command, payload)
        reply = self.receive([(self.tag, command)])
        self._damaged = reply is not None and reply[2] == LinkError.BAD_FRAME
        if reply is None or self._damaged:
            self.shorten()
            self.forget()
            return None
        self._heard = self.in_step = True
        self._good += 1
        if self._good == GOOD_IN_A_ROW:
            self._good, self._most = 0, min(MOST_BYTES, 2 * self._most)
        if reply[2] not in set(LinkError):
            raise unknown_error(command, reply[2])
        error = LinkError(reply[2])
        if error != LinkError.NONE:
            raise AcceleratorError(error)
        return self.carried(command, payload, reply)

    def _send(self, command: Command, payload: bytes) -> None:
        """Send a request with the tag that is due."""
        content = bytes([self.tag, command]) + payload
        self.transport.write(encode_frame(content))
        self.bytes_sent += len(content)

    def _interrupt(self) -> None:
        """Give up what is on its way."""
        if self._ahead is not None:
            self._ahead.interrupt()

    def _gone(self, command: Command) -> DownshiftError:
        """What to raise when no attempt succeeded."""
        self.in_step = False
        if self._damaged:
            return AcceleratorError(LinkError.BAD_FRAME)
        return SilentError(
            f"The accelerator does not answer {command.name}; check port, speed and bitstream"
        )


def _answers(wanted: set[tuple[int, Command]], content: bytes) -> bool:
    """Whether a reply is one of those that are waited for."""
    tag, command, error = content[:3]
    # A reply to a damaged request has neither tag nor command, one to an unknown command only that.
    if error == LinkError.UNKNOWN_COMMAND:
        return any(tag == each for each, _ in wanted)
    return (tag, command) in wanted or error == LinkError.BAD_FRAME
