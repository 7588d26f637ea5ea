"""A bad line between host and accelerator: bytes lost, doubled, flipped and added, both ways."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.sw.compile.image import Image
from downshift.sw.device.driver import Accelerator, Transport

__all__ = ["NoisyTransport", "damage", "noisy_frames"]

MOST_BYTES = 600
"""That the port takes at once."""


class NoisyTransport:
    """Damage what goes over a transport.

    Parameters
    ----------
    transport : Transport
    rate, rng
        As of `damage`.
    """

    def __init__(self, transport: Transport, *, rate: float, rng: np.random.Generator):
        self.transport = transport
        self.rate = rate
        self.rng = rng
        self.damaged = 0

    def write(self, content: bytes) -> None:
        """Send `content`, or what becomes of it."""
        self.transport.write(self._through(content)[:MOST_BYTES])

    def read(self) -> bytes:
        """Return what has arrived, or what becomes of it."""
        arrived = self.transport.read()
        # Nothing stands for silence.
        return (self._through(arrived) or b"\0") if arrived else arrived

    def drain(self) -> None:
        """Forget what arrives."""
        self.transport.drain()

    def _through(self, content: bytes) -> bytes:
        through, damaged = damage(content, rate=self.rate, rng=self.rng)
        self.damaged += damaged
        return through


def damage(content: bytes, *, rate: float, rng: np.random.Generator) -> tuple[bytes, int]:
    """Return what becomes of bytes on a bad line, and how many of them were damaged.

    Parameters
    ----------
    content : bytes
    rate : float
        The part of the bytes to which something happens: each is lost, doubled, has a bit flipped,
        or gets another one before it, all as often.
    rng : numpy.random.Generator
    """
    out = bytearray()
    fates = rng.random(len(content)) < rate
    for byte, damaged in zip(content, fates.tolist(), strict=True):
        if not damaged:
            out.append(byte)
            continue
        kind, other = rng.integers(4), int(rng.integers(256))
        if kind == 1:
            out += bytes([byte, byte])
        elif kind == 2:
            out.append(byte ^ 1 << other % 8)
        elif kind == 3:
            out += bytes([other, byte])
    return bytes(out), int(fates.sum())


@dataclass(kw_only=True)
class Outcome:
    """What became of the frames."""

    correct: int = 0
    wrong: int = 0
    refused: int = 0
    """Those that ended with an error, and attempts to load that did."""
    sentences: list[str] = field(default_factory=list)
    """Of those errors."""
    damaged: int = 0
    """Bytes."""
    requests_bytes: int = 0


def noisy_frames(
    accelerator: Accelerator,
    *,
    image: str,
    inputs: str,
    frames: int,
    rate: float,
    seed: int,
    timeout_cycles: int,
    batch: int = 1,
) -> dict:
    """Load an image over a bad line and run frames of random inputs at random widths.

    Parameters
    ----------
    accelerator : Accelerator
        Simulated.
    image, inputs : str
        Files: an image; ``x``, uint8 of (n, height, width, channels), and by width, as its digits,
        the ``logits`` that golden has for them.
    frames : int
    rate : float
        Of the bytes that are damaged.
    seed : int
    timeout_cycles : int
        How long a reply is waited for: more than a frame takes.
    batch : int
        Frames at one width that are run ahead of each other, if more than one.

    Returns
    -------
    dict
        Fields of `Outcome`.
    """
    rng = np.random.default_rng(seed)
    good = Image.load(Path(image))
    with np.load(inputs) as arrays:
        x = arrays["x"]
        expected = {width: arrays[str(width)] for width in good.widths}
    accelerator.link.transport.timeout_cycles = timeout_cycles
    line = NoisyTransport(accelerator.link.transport, rate=rate, rng=rng)
    accelerator.link.transport = line
    outcome = Outcome()
    while accelerator.image is None:
        try:
            accelerator.load(good)
        except DownshiftError as error:
            outcome.refused += 1
            outcome.sentences.append(str(error))
    for _ in range(frames // batch):
        chosen, width = rng.integers(len(x), size=batch), int(rng.choice(good.widths))
        if batch == 1:
            results = map(accelerator.run, x[chosen], [width])
        else:
            results = accelerator.run_all(x[chosen], width)
        ended = 0
        try:
            for result in results:
                right = np.array_equal(result.logits, expected[width][chosen[ended]])
                outcome.correct += int(right)
                outcome.wrong += int(not right)
                ended += 1
        except DownshiftError as error:
            # Those behind it were not run.
            outcome.refused += batch - ended
            outcome.sentences.append(str(error))
    outcome.damaged, outcome.requests_bytes = line.damaged, accelerator.link.bytes_sent
    return asdict(outcome)
