"""What a bad host does to the IP core: nothing, but a refusal or an error code."""

from pathlib import Path

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.hw.protocol import Command, LinkError
from downshift.hw.register_map import MAP_BYTES, REGISTERS, register
from downshift.sim.refusal import refused
from downshift.sw.compile.image import Image
from downshift.sw.device.driver import Accelerator

__all__ = ["registers", "wrong_bytes", "wrong_commands"]


def registers(accelerator: Accelerator) -> dict:
    """Write each register whole and in parts, and read it.

    Returns
    -------
    dict
        ``values``: of each register after a reset; ``kept``: of those that can be written, after
        ones everywhere; ``one_byte``: after zero in their second byte; ``refused_writes`` and
        ``refused_reads``: offsets of the words that cannot be.
    """
    port = accelerator.link.port
    readable, refused_reads, refused_writes = {}, [], []
    for offset in range(0, MAP_BYTES, 4):
        try:
            readable[offset] = port.read_register(offset)
        except DownshiftError:
            refused_reads.append(offset)
    for offset in range(0, MAP_BYTES, 4):
        try:
            # Not one of the commands, and no reset.
            port.write_register(offset, 0xFFFFFFFE if offset != register("COMMAND").offset else 99)
        except DownshiftError:
            refused_writes.append(offset)
    kept, one_byte = {}, {}
    for entry in REGISTERS:
        if entry.access == "read-write":
            port.write_register(entry.offset, 0xFFFFFFFF)
            kept[entry.name] = port.read_register(entry.offset)
            port.write_bytes(entry.offset + 1, b"\0")
            one_byte[entry.name] = port.read_register(entry.offset)
    return {
        "values": {entry.name: readable.get(entry.offset) for entry in REGISTERS},
        "kept": kept,
        "one_byte": one_byte,
        "refused_reads": refused_reads,
        "refused_writes": refused_writes,
    }


def wrong_commands(accelerator: Accelerator) -> dict:
    """Ask for what cannot be, and while something else is being done.

    Returns
    -------
    dict
        ``errors``, by case; ``interrupts``: the line while the interrupt is off, on, and cleared.
    """
    link, port = accelerator.link, accelerator.link.port
    errors = {
        "unknown command": refused(lambda: link._do(99)),
        "read too long": refused(lambda: link._do(Command.READ, ADDRESS=0, LENGTH=1 << 16)),
        "read beyond": refused(lambda: link._do(Command.READ, ADDRESS=0xFFFFFF, LENGTH=1)),
        "run without an image": refused(lambda: link.request(Command.RUN, b"\x08")),
        "section without an image": refused(lambda: link.request(Command.SECTION, b"\x01")),
        "too many logits": refused(lambda: link._do(Command.CASCADE, ADDRESS=0, LENGTH=256)),
        "other format": refused(lambda: link.request(Command.LOAD, bytes([99, 0, 0, 0, 0]))),
        "other configuration": refused(lambda: link.request(Command.LOAD, bytes([1, 0, 0, 0, 0]))),
    }
    # A write that waits for its bytes.
    link._start(Command.WRITE, ADDRESS=0)
    try:
        link._start(Command.INFO)
        errors["command while busy"] = "NONE"
    except DownshiftError:
        errors["command while busy"] = "refused"
    port.send(b"\x01\x02")
    port.wait()
    errors["the one that was busy"] = LinkError(link._read("STATUS") >> 8 & 0xFF).name

    interrupts = []
    for enable in (0, 1):
        link._write("INTERRUPT_ENABLE", enable)
        link._write("INTERRUPT_STATUS", 1)
        link._write("COMMAND", Command.INFO)
        while link._read("STATUS") & 1:
            pass
        link._read("STATUS")  # the line follows some cycles later
        interrupts.append(port.interrupt())
    link._write("INTERRUPT_STATUS", 1)
    link._read("STATUS")
    interrupts.append(port.interrupt())
    return {"errors": errors, "interrupts": interrupts, "read": list(link.read(0, 2))}


def wrong_bytes(accelerator: Accelerator, *, image: str, inputs: str) -> dict:
    """Send bytes that nobody asked for, too many, and none; then run a frame.

    Parameters
    ----------
    accelerator : Accelerator
    image, inputs : str
        Files: an image; one input, uint8 of (height, width, channels).

    Returns
    -------
    dict
        ``errors``, by case; ``memory``: what lies at the end of activation memory, and at its
        beginning, after bytes that reach beyond, and after some that came for nothing; ``logits``
        of a frame then.
    """
    good, x = Image.load(Path(image)), np.load(inputs)
    link = accelerator.link
    end = good.config.activation_bytes
    link.write(0, b"first")
    errors = {
        "data without a section": refused(lambda: link.request(Command.DATA, bytes(300))),
        "write beyond": refused(lambda: link.write(end - 3, b"abcdefgh")),
    }
    memory = [link.read(end - 3, 3).decode(), link.read(0, 5).decode()]
    # Bytes that came for nothing are forgotten by a reset.
    link.port.send(b"zz")
    link._read("STATUS")
    link.reset()
    link.write(0, b"third")
    memory.append(link.read(0, 5).decode())
    # Bytes that never come: the core is told to forget it.
    accelerator.load(good)
    link._start(Command.WRITE, ADDRESS=0)
    link.reset()
    errors["run after a reset"] = refused(lambda: link.request(Command.RUN, bytes(good.widths[:1])))
    accelerator.load(good)
    logits = accelerator.run(x, good.widths[0]).logits.tolist()
    return {"errors": errors, "memory": memory, "logits": logits}
