"""The driver: an accelerator behind any link that carries bytes."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import (
    IMAGE_FORMAT,
    PROTOCOL_VERSION,
    Command,
    Feature,
    LinkError,
)
from downshift.sw.compile.image import Image, Section
from downshift.sw.device.cascade import PolicyResult, can_cascade, cascade_request
from downshift.sw.device.frame_requests import (
    FrameRequests,
    Result,
    cascade_requests,
    run_requests,
)
from downshift.sw.device.frame_result import FrameCounters, FrameResult
from downshift.sw.device.information import Information
from downshift.sw.device.link import AcceleratorError, Link, SilentError, Transport
from downshift.sw.device.requester import Requester
from downshift.sw.device.run_ahead import run_ahead

__all__ = [
    "Accelerator",
    "AcceleratorError",
    "FrameCounters",
    "FrameResult",
    "Information",
    "SilentError",
    "Transport",
]


class Accelerator:
    """Load images and run frames; the same over a serial port and in a simulation.

    Parameters
    ----------
    link : Transport or Requester
        What carries bytes, such as a serial port; or requests, such as `AxiLink`.
    """

    def __init__(self, link: Transport | Requester):
        self.link: Any = link if isinstance(link, Requester) else Link(link)
        self.image: Image | None = None

    def information(self) -> Information:
        """Ask the accelerator what it is."""
        return Information.from_reply(self.link.request(Command.INFO))

    def load(self, image: Image, progress: Callable[[int, int], None] | None = None) -> None:
        """Load an image, which the accelerator checks for itself.

        Parameters
        ----------
        image : Image
        progress : callable, optional
            Called with the bytes sent and those in all.

        Raises
        ------
        AcceleratorError
            If the image arrives damaged.
        DownshiftError
            If the image is for another accelerator; if this one does not answer, or speaks another
            protocol.
        """
        self._check(image)
        self.image = None
        self.link.request(
            Command.LOAD,
            bytes([IMAGE_FORMAT]) + image.config.fingerprint.to_bytes(4, "little"),
        )
        sections = image.sections()
        total = sum(map(len, sections.values()))
        before = 0
        for section, body in sections.items():
            self.link.load_section(
                section,
                body,
                lambda sent, before=before: progress(before + sent, total) if progress else None,
            )
            self.link.request(Command.CHECK, image.claim(section))
            before += len(body)
        self.image = image

    def run(self, codes: np.ndarray, width: int) -> FrameResult:
        """Run one frame.

        Parameters
        ----------
        codes : uint8 array, shape (height, width, channels)
            Input codes.
        width : int
            One of the image's widths; another than that of the frame before costs nothing.

        Returns
        -------
        FrameResult

        Raises
        ------
        DownshiftError
            If no image is loaded, the input does not fit it, or it does not run at `width`; if the
            accelerator does not answer.
        """
        image = self._image()
        self._check_width(image, width)
        content = image.encode_input(codes, width)
        request = (Command.RUN, bytes([width]))
        reply = self._loaded(image, lambda: self._ask(image, content, width, request))
        counters = FrameCounters.from_reply(reply)
        logits = self.read_map(image.maps[width][-1].name, width).reshape(-1)
        return FrameResult(logits=logits, counters=counters)

    def run_all(self, frames: Iterable[np.ndarray], width: int) -> Iterator[FrameResult]:
        """Run frames, the next ones on their way to the accelerator while it runs one.

        That takes an accelerator with a queue for requests; with others, and over bad lines, frames
        follow each other. The first result comes when the queue is full, or the frames end. No
        other image may be loaded meanwhile.

        Parameters
        ----------
        frames : iterable of uint8 array, shape (height, width, channels)
            Input codes, taken a few ahead.
        width : int
            One of the image's widths.

        Yields
        ------
        FrameResult
            In the order of the frames.

        Raises
        ------
        DownshiftError
            As of `run`, after the results of the frames before.
        """
        image = self._image()
        self._check_width(image, width)
        return self._ahead(
            frames,
            lambda codes: run_requests(image, codes, width),
            lambda codes: self.run(codes, width),
        )

    def cascade_all(
        self, frames: Iterable[np.ndarray], first: int, second: int, threshold: int
    ) -> Iterator[PolicyResult]:
        """Run frames as `cascade` does, ahead of each other as `run_all` does."""
        image = self._image()
        for width in (first, second):
            self._check_width(image, width)
        return self._ahead(
            frames,
            lambda codes: cascade_requests(image, codes, first, second, threshold),
            lambda codes: self.cascade(codes, first, second, threshold),
        )

    def can_cascade(self, first: int, second: int) -> bool:
        """Whether the accelerator can choose between two widths of the image by itself.

        It can, if it was built so, and the input of both lies in the same place, where the first
        leaves it.
        """
        image = self._image()
        if Feature.CASCADE not in self.information().features:
            return False
        return can_cascade(image, first, second)

    def cascade(self, codes: np.ndarray, first: int, second: int, threshold: int) -> PolicyResult:
        """Run one frame at a width, and at another if its two best logits are too close.

        The accelerator decides: there is no turn-around by the host. Ask `can_cascade` before.

        Parameters
        ----------
        codes : uint8 array, shape (height, width, channels)
            Input codes.
        first, second : int
            Widths of the image.
        threshold : int
            Too close: less than this apart.

        Raises
        ------
        DownshiftError
            As of `run`.
        """
        image = self._image()
        content = image.encode_input(codes, first)
        request = cascade_request(image, first, second, threshold)
        reply = self._loaded(image, lambda: self._ask(image, content, first, request))
        width = second if reply[-1] else first
        logits = self.read_map(image.maps[width][-1].name, width).reshape(-1)
        result = FrameResult(logits=logits, counters=FrameCounters.from_reply(reply[:-4]))
        return PolicyResult.of(result, first, second, reply[-4:])

    def scrub(self) -> tuple[Section, ...]:
        """Compare the accelerator's memories with the image: bits may flip in the field.

        Takes 11 cycles a byte. What is damaged counts as not loaded: the next frame loads the
        image again.

        Returns
        -------
        tuple of Section
            Those that are damaged; empty if all is well.

        Raises
        ------
        DownshiftError
            If no image is loaded, or the accelerator was built without this.
        """
        image = self._image()
        if Feature.SCRUB not in self.information().features:
            raise DownshiftError(
                "The accelerator cannot compare its memories; build it with scrubbing"
            )
        return tuple(section for section in image.sections() if not self._is_intact(image, section))

    def read_map(self, name: str, width: int) -> np.ndarray:
        """Read the codes or logits that a layer gave in the last frame.

        Returns
        -------
        uint8 (codes) or int32 (logits) array, shape (height, width, channels)
        """
        image = self._image()
        entry = image.map(name, width)
        return entry.decode(self.link.read(entry.base, entry.size))

    def _ahead(
        self,
        frames: Iterable[np.ndarray],
        asked: Callable[[np.ndarray], FrameRequests[Result]],
        alone: Callable[[np.ndarray], Result],
    ) -> Iterator[Result]:
        asked, alone = self._while_loaded(asked), self._while_loaded(alone)
        if Feature.QUEUE in self.information().features:
            return run_ahead(self.link, frames, asked, alone)
        return (alone(codes) for codes in frames)

    def _while_loaded(self, action: Callable[[np.ndarray], Result]) -> Callable[..., Result]:
        """Do something as long as the image is the one that is loaded now."""
        image = self.image

        def guarded(codes: np.ndarray) -> Result:
            if self.image is not image:
                raise DownshiftError(
                    "Another image was loaded before all frames were done; run the rest again"
                )
            return action(codes)

        return guarded

    def _ask(
        self, image: Image, content: bytes, width: int, request: tuple[Command, bytes]
    ) -> bytes:
        """Write the input, and run."""
        self.link.write(image.maps[width][0].base, content)
        return self.link.request(*request)

    def _loaded(self, image: Image, action: Callable[[], bytes]) -> bytes:
        """Do something that needs the image; load it again if it is gone."""
        try:
            return action()
        except AcceleratorError as error:
            if error.error != LinkError.NO_IMAGE:
                raise
        # It was reset, or lost its power for a moment.
        self.load(image)
        return action()

    def _is_intact(self, image: Image, section: Section) -> bool:
        """Ask whether a section lies in memory as it was loaded."""
        try:
            self.link.request(Command.SCRUB, bytes([section]) + image.claim(section))
        except AcceleratorError as error:
            if error.error != LinkError.BAD_CHECKSUM:
                raise
            return False
        return True

    def _check(self, image: Image) -> None:
        """Refuse an accelerator that speaks another protocol, or is not the image's."""
        told = self.information()
        if told.protocol_version != PROTOCOL_VERSION:
            raise DownshiftError(
                f"The accelerator speaks protocol {told.protocol_version}, this release "
                f"{PROTOCOL_VERSION}; update its bitstream"
            )
        if told.fingerprint != image.config.fingerprint:
            raise AcceleratorError(LinkError.WRONG_CONFIGURATION)

    def _check_width(self, image: Image, width: int) -> None:
        if width not in image.widths:
            have = ", ".join(map(str, image.widths))
            raise DownshiftError(f"The image runs at widths {have}, not {width!r}")

    def _image(self) -> Image:
        if self.image is None:
            raise DownshiftError("No image is loaded; call load first")
        return self.image
