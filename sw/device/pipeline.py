"""Several requests on their way at once, where the accelerator has a queue for them."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from downshift.hw.protocol import CRC_BYTES, QUEUE_BYTES, QUEUE_FRAMES, LinkError
from downshift.sw.device.memory_requests import Request

if TYPE_CHECKING:
    from downshift.sw.device.link import Link

__all__ = ["Pipeline"]


class Pipeline:
    """Send groups of requests while the replies to those before are still to come.

    Trouble on the line is noticed, not mended: `receive` gives nothing then, and whatever was sent
    must be asked for again. A group that `receive` gives the replies of was done in its order, with
    nothing between.

    Parameters
    ----------
    link : Link
        To an accelerator with a queue, whose last request was answered.
    """

    def __init__(self, link: "Link"):
        self.link = link
        self._groups: deque[int] = deque()  # requests of each
        self._asked: deque[tuple[int, Request]] = deque()  # tags; not answered
        self._answers: deque[bytes] = deque()  # not received
        self.lost = False
        """Something was: `receive` gives nothing more."""

    def fits(self, group: Sequence[Request]) -> bool:
        """Whether a group can be sent without waiting for replies to others."""
        return (
            sum(map(_size, group)) + self._waiting <= QUEUE_BYTES
            and len(group) + len(self._asked) <= QUEUE_FRAMES
        )

    def send(self, group: Sequence[Request]) -> None:
        """Send requests, once there is room for each."""
        self._groups.append(len(group))
        for request in group:
            while self._asked and not self.lost and not self.fits([request]):
                self._take()
            if self.lost:
                return
            self._asked.append((self.link.send(*request), request))

    def receive(self) -> list[bytes] | None:
        """Return what the replies to the first group that was sent carry.

        None if one of them is an error, or does not come: then nothing that was sent counts.
        """
        count = self._groups[0]
        while len(self._answers) < count and not self.lost:
            self._take()
        if self.lost:
            self.close()
            return None
        self._groups.popleft()
        return [self._answers.popleft() for _ in range(count)]

    def close(self) -> None:
        """Forget what was sent."""
        self.interrupt()
        self._groups.clear()
        self._answers.clear()
        self.lost = False

    def interrupt(self) -> None:
        """Give up what was sent and not answered, so that the link can be used for another end."""
        if self._asked:
            self._asked.clear()
            self.lost = True
            self.link.in_step = False
            self.link.forget()

    @property
    def _waiting(self) -> int:
        """Bytes of what was not answered."""
        return sum(_size(request) for _, request in self._asked)

    def _take(self) -> None:
        """Wait for a reply, which must be the next one."""
        tag, request = self._asked[0]
        reply = self.link.receive((tag, command) for tag, (command, _) in self._asked)
        if reply is None or reply[2] == LinkError.BAD_FRAME:
            self.link.shorten()
            self.lost = True
        elif reply[0] != tag or reply[2] != LinkError.NONE:
            self.lost = True
        else:
            self._asked.popleft()
            self._answers.append(self.link.carried(*request, reply))


def _size(request: Request) -> int:
    """Bytes in the queue."""
    return 2 + len(request[1]) + CRC_BYTES
