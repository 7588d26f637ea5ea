"""Bits that flip in the memories of a simulated accelerator, as radiation flips them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cocotb.task import resume

from downshift.hw.config import AcceleratorConfig
from downshift.hw.counters import MOST_CYCLES
from downshift.hw.protocol import Command
from downshift.hw.table_config import TableConfig
from downshift.sim.refusal import refused
from downshift.sw.compile.image import Image, Section
from downshift.sw.device.cascade import cascade_request
from downshift.sw.device.driver import Accelerator

__all__ = ["BACKDOORS", "STORES", "flipped_bits", "hung_frame"]

STORES = ("program", "weights", "parameters")
"""Of an engine, by name."""
BACKDOORS = {
    AcceleratorConfig: tuple((f"*engine.{store}", "memory") for store in STORES),
    TableConfig: (("ram_slice*", "memory"),),
}
"""The memories of the stores, for `SimulatedLink`."""


def flipped_bits(
    accelerator: Accelerator, *, image: str, inputs: str, flips: Sequence[tuple[str, int, int]]
) -> dict:
    """Flip bits one after the other; after each, look for it, run a frame, and look again.

    Parameters
    ----------
    accelerator : Accelerator
        Simulated, with backdoors to its stores.
    image, inputs : str
        Files: an image; one input, uint8 of (height, width, channels).
    flips : sequence of (str, int, int)
        Of `STORES`, word, and bit of the word.

    Returns
    -------
    dict
        ``before``, names of the sections that are found damaged; ``flips``, for each: those
        ``found``, the error of running a frame ``then``, ``logits`` of a frame, which loads the
        image again, and those found ``after``; ``claims``: errors of comparing with what was not
        loaded, by case; ``logits`` of a frame after all.
    """
    good, x = Image.load(Path(image)), np.load(inputs)
    width = good.widths[0]
    accelerator.load(good)
    results = []
    before = _names(accelerator.scrub())
    for store, word, bit in flips:
        _flip(accelerator.link.transport.port, store, word, bit)
        found = _names(accelerator.scrub())
        then = _error(accelerator, Command.RUN, bytes([width]))
        logits = accelerator.run(x, width).logits.tolist()
        after = _names(accelerator.scrub())
        results.append({"found": found, "then": then, "logits": logits, "after": after})
    other = bytes([Section.WEIGHTS]) + good.claim(Section.PROGRAM)
    claims = {
        "logits beyond the memory": _logits_beyond(accelerator, good),
        "data without a section": _data_after_cascade(accelerator, good),
        "another section": _error(accelerator, Command.SCRUB, other),
        "no section": _error(accelerator, Command.SCRUB, bytes(8)),
        "beyond the memory": _error(accelerator, Command.SCRUB, bytes([1, 0, 0, 0, 0, 0, 0, 255])),
        "data behind it": _error(accelerator, Command.DATA, b"x"),
    }
    return {
        "before": before,
        "flips": results,
        "claims": claims,
        "logits": accelerator.run(x, width).logits.tolist(),
    }


def hung_frame(
    accelerator: Accelerator, *, image: str, inputs: str, flip: tuple[str, int, int]
) -> dict:
    """Flip a bit of the program so that a frame does not end, and ask for one.

    Parameters
    ----------
    accelerator : Accelerator
        Simulated, with backdoors to its stores.
    image, inputs : str
        Files: an image; one input, uint8 of (height, width, channels).
    flip : (str, int, int)
        Of `STORES`, word, and bit of the word.

    Returns
    -------
    dict
        ``errors`` of that frame, and of two others with all as it should be; ``found``, the
        sections that are damaged; ``logits`` of a frame after a reset.
    """
    good, x = Image.load(Path(image)), np.load(inputs)
    width = good.widths[0]
    transport = accelerator.link.transport
    transport.timeout_cycles = 2 * MOST_CYCLES
    accelerator.load(good)
    _flip(transport.port, *flip)
    errors = [_error(accelerator, Command.RUN, bytes([width]), attempts=1)]
    transport.timeout_cycles = MOST_CYCLES // 16  # all the others answer soon
    found = _names(accelerator.scrub())
    accelerator.load(good)
    # The first request after it might still see the count of the frame before.
    errors += [_error(accelerator, Command.RUN, bytes([width]), attempts=1) for _ in range(2)]
    transport.reset(after_cycles=1)
    logits = accelerator.run(x, width).logits.tolist()
    return {"errors": errors, "found": found, "logits": logits}


def _logits_beyond(accelerator: Accelerator, good: Image) -> str:
    """Ask for a cascade that looks at two logits where one has room."""
    width = good.widths[0]
    last = (good.config.activation_bytes - 4).to_bytes(3, "little")
    payload = bytes([width | width << 4, 0, 0, 0]) + last
    assert _error(accelerator, Command.CASCADE, payload + b"\1") == "NONE"
    return _error(accelerator, Command.CASCADE, payload + b"\2")


def _data_after_cascade(accelerator: Accelerator, good: Image) -> str:
    """Ask for a cascade, which fails or not, and send data that no section waits for."""
    width = good.widths[0]
    command, payload = cascade_request(good, width, width, 0)
    accelerator.link.request(command, payload)
    return _error(accelerator, Command.DATA, bytes(16))


def _names(sections) -> list[str]:
    return [section.name.lower() for section in sections]


def _error(accelerator: Accelerator, command: Command, payload: bytes, **options) -> str:
    return refused(lambda: accelerator.link.request(command, payload, **options))


@resume
async def _flip(port, store: str, word: int, bit: int) -> None:
    """Flip a bit in a store of the accelerator."""
    found = getattr(port.dut.core.processor.executor.engine, store)
    memory = found.ram.slice_0.memory if hasattr(found, "ram") else found.memory
    memory[word].value = int(memory[word].value) ^ 1 << bit
