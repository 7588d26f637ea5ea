"""What a driver needs of a link, whichever it is: `Requester`."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from downshift.hw.protocol import Command
from downshift.sw.device.pipeline import Pipeline

__all__ = ["Requester"]


class Requester(ABC):
    """Ask an accelerator for something, and get the answer."""

    bytes_sent = 0
    """Of requests, without what the link adds."""

    @abstractmethod
    def request(self, command: Command, payload: bytes = b"") -> bytes:
        """Send a request as the link protocol has it, and return the bytes of the reply.

        Raises
        ------
        AcceleratorError
            If the accelerator refuses.
        SilentError
            If it does not answer.
        DownshiftError
            If it answers something else.
        """

    def pipeline(self) -> Pipeline | None:
        """Return what sends requests ahead of replies; None where that cannot be."""
        return None

    @abstractmethod
    def write(self, address: int, content: bytes) -> None:
        """Write to activation memory."""

    @abstractmethod
    def read(self, address: int, size: int) -> bytes:
        """Read from activation memory."""

    @abstractmethod
    def load_section(
        self, section: int, body: bytes, progress: Callable[[int], None] = lambda sent: None
    ) -> None:
        """Load a section of an image; `progress` is called with the bytes of it that are there."""
