"""What a bad link, a bad host and bad images do to an accelerator: nothing, but an error code."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import END, Command, LinkError, decode_frame, encode_frame
from downshift.sim.refusal import refusal, refused
from downshift.sw.compile.image import Image, Section
from downshift.sw.device.driver import Accelerator

__all__ = ["damaged_images", "damaged_requests", "repeated_requests", "resets"]

TAG = 7


def damaged_requests(accelerator: Accelerator) -> dict[str, dict]:
    """Send requests that are damaged, malformed, unknown or out of range.

    Returns
    -------
    dict of str to dict
        By case: ``error``, the name of the code that came back; ``alive``, whether the next good
        request was answered.
    """
    info = encode_frame(bytes([TAG, Command.INFO]))
    flipped = bytearray(info)
    flipped[2] ^= 0x10
    garbage = bytes(np.random.default_rng(0).integers(0, 256, 200, dtype=np.uint8))
    raw = {
        "flipped bit": bytes(flipped),
        "cut short": info[:-3] + info[-1:],
        "doubled byte": info[:3] + info[2:],
        "garbage": garbage + bytes([END]),
        "escape at the end": bytes([END, 1, 2, 3, 4, 5, 0xDB, END]),
        "too long": encode_frame(bytes([TAG, Command.DATA]) + bytes(520)),
        "one byte": encode_frame(b"x"),
        "unknown command": encode_frame(bytes([TAG, 0x55])),
        "argument missing": encode_frame(bytes([TAG, Command.RUN])),
        "argument too many": encode_frame(bytes([TAG, Command.RUN, 8, 8])),
        "read beyond memory": encode_frame(bytes([TAG, Command.READ, 255, 255, 255, 4, 0])),
        "write beyond memory": encode_frame(bytes([TAG, Command.WRITE, 255, 255, 255, 1])),
        "data without a section": encode_frame(bytes([TAG, Command.DATA, 1])),
        "section without an image": encode_frame(bytes([TAG, Command.SECTION, 1])),
        "check without a section": encode_frame(bytes([TAG, Command.CHECK, *bytes(7)])),
        "run without an image": encode_frame(bytes([TAG, Command.RUN, 8])),
        "other format": encode_frame(bytes([TAG, Command.LOAD, 99, *bytes(4)])),
        "other configuration": encode_frame(bytes([TAG, Command.LOAD, 1, *bytes(4)])),
    }
    results = {}
    for name, content in raw.items():
        results[name] = {"error": _error_of(accelerator, content), "alive": _alive(accelerator)}
    # What came before, and was never ended, must not swallow a good request.
    accelerator.link.transport.write(garbage.replace(bytes([END]), b"") + info)
    results["garbage before a request"] = {
        "error": _first_answer(accelerator, TAG),
        "alive": _alive(accelerator),
    }
    return results


def damaged_images(accelerator: Accelerator, *, image: str, inputs: str) -> dict[str, dict]:
    """Load images that are damaged or made for another accelerator, then a good one.

    Parameters
    ----------
    accelerator : Accelerator
    image, inputs : str
        Files: a good image; one input, uint8 of (height, width, channels).

    Returns
    -------
    dict of str to dict
        By case: ``error`` and ``sentence`` of the refusal, and ``run``, the error of running a
        frame then. The good image has its ``logits``.
    """
    good = Image.load(Path(image))
    x = np.load(inputs)
    weights = bytearray(good.weights)
    weights[len(weights) // 2] ^= 1
    other = AcceleratorConfig(rows=good.config.rows * 2)
    images = {
        "flipped bit": (replace(good, weights=bytes(weights)), good),
        "truncated": (replace(good, parameters=good.parameters[:-16]), good),
        "other configuration": (replace(good, config=other), good),
    }
    results = {}
    for name, (sent, claimed) in images.items():
        error, sentence = refusal(
            lambda sent=sent, claimed=claimed: _load(accelerator, sent, claimed)
        )
        run = refused(lambda: accelerator.link.request(Command.RUN, bytes([good.widths[0]])))
        results[name] = {"error": error, "sentence": sentence, "run": run}
    accelerator.load(good)
    missing = next(w for w in range(2, 9) if w not in good.widths)
    results["missing width"] = {
        "error": refused(lambda: accelerator.link.request(Command.RUN, bytes([missing])))
    }
    # A check whose reply was lost is sent again, and changes nothing.
    accelerator.link.request(Command.CHECK, good.claim(list(good.sections())[-1]))
    results["good"] = {"logits": accelerator.run(x, good.widths[0]).logits.tolist()}
    # An image that is refused at the door leaves the one before in force.
    refusal(lambda: _load(accelerator, *images["other configuration"]))
    accelerator.image = good
    results["good still"] = {"logits": accelerator.run(x, good.widths[0]).logits.tolist()}
    return results


def repeated_requests(accelerator: Accelerator, *, image: str, inputs: str) -> dict:
    """Ask for a frame, and again with the same tag, as a host does that heard no reply.

    Parameters
    ----------
    accelerator : Accelerator
    image, inputs : str
        Files: an image; two inputs, uint8 of (2, height, width, channels).

    Returns
    -------
    dict
        ``logits`` after a frame of the first input, and, while the second lies in its place, after
        asking again, after asking again behind a damaged request, and after asking with another
        tag, which runs the second; ``errors`` of asking three times for a width that is not there.
    """
    good = Image.load(Path(image))
    width = good.widths[0]
    missing = next(w for w in range(2, 9) if w not in good.widths)
    name = good.maps[width][-1].name

    def ask(tag: int, width: int = width) -> str:
        return _error_of(accelerator, encode_frame(bytes([tag & 0xFF, Command.RUN, width])))

    def logits() -> list:
        return accelerator.read_map(name, width).reshape(-1).tolist()

    accelerator.load(good)
    first, second = np.load(inputs)
    results = {"once": accelerator.run(first, width).logits.tolist()}
    accelerator.link.write(good.maps[width][0].base, good.encode_input(second, width))
    ask(accelerator.link.tag)
    results["again"] = logits()
    _error_of(accelerator, encode_frame(b"xyz")[:-2] + bytes([END]))
    ask(accelerator.link.tag)
    results["behind a damaged one"] = logits()
    ask(accelerator.link.tag + 1)
    results["anew"] = logits()
    tag = accelerator.link.tag + 1
    return {"logits": results, "errors": [ask(tag, missing) for _ in range(3)]}


def resets(
    accelerator: Accelerator, *, image: str, inputs: str, width: int, after: Sequence[int]
) -> list[dict]:
    """Reset an accelerator while a frame is asked for or runs, then run a frame.

    Parameters
    ----------
    accelerator : Accelerator
        Simulated.
    image, inputs : str
        Files: an image; one input, uint8 of (height, width, channels).
    width : int
    after : sequence of int
        Cycles from when a frame is asked for to the reset.

    Returns
    -------
    list of dict
        For each reset: ``run``, the error of running without loading again; ``logits`` and
        ``cycles`` of a frame after loading again.
    """
    good = Image.load(Path(image))
    x = np.load(inputs)
    results = []
    accelerator.load(good)
    accelerator.run(x, width)
    for cycles in after:
        accelerator.link.transport.write(encode_frame(bytes([TAG, Command.RUN, width])))
        accelerator.link.transport.reset(after_cycles=cycles)
        lost = refused(lambda: accelerator.link.request(Command.RUN, bytes([width])))
        accelerator.load(good)
        result = accelerator.run(x, width)
        results.append({"run": lost, "logits": result.logits.tolist(), "cycles": result.cycles})
    return results


def _load(accelerator: Accelerator, image: Image, claimed: Image) -> None:
    """Load an image under the checksums of another."""

    class Disguised(Image):
        def checksum(self, section: Section) -> int:
            return claimed.checksum(section)

    fields = {name: getattr(image, name) for name in Image.__dataclass_fields__}
    accelerator.load(Disguised(**fields))


def _error_of(accelerator: Accelerator, content: bytes) -> str:
    accelerator.link.transport.write(content)
    return _first_answer(accelerator)


def _first_answer(accelerator: Accelerator, tag: int | None = None) -> str:
    """Error of the first reply, or of the first with a tag; "silence" if none comes."""
    received = b""
    while arrived := accelerator.link.transport.read():
        received += arrived
        for part in filter(None, received.split(bytes([END]))):
            reply = decode_frame(part)
            if reply is not None and tag in (None, reply[0]):
                return LinkError(reply[2]).name
    return "silence"


def _alive(accelerator: Accelerator) -> bool:
    try:
        accelerator.information()
    except DownshiftError:
        return False
    return True
