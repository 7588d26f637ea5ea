"""The register map as texts: a C header for firmware, and documentation."""

from downshift.hw.protocol import Command, LinkError
from downshift.hw.register_map import MAP_BYTES, MAP_VERSION, REGISTERS

__all__ = ["c_header", "documentation"]

PREFIX = "DOWNSHIFT"

BEFORE = """\
# Registers of the IP core

Written by `downshift ip` from `hw/register_map.py`; version {version}. Words of 32 bits behind
AXI4-Lite, little-endian. Bits that are not named read 0; a write to them changes nothing. An access
to a word that is not here, and a write to one that is read-only, end with SLVERR.

| offset | register | access | reset | |
|---|---|---|---|---|"""

AFTER = """
## How to use them

A command is started by writing its number to COMMAND, after its arguments to their registers. It
has ended when BUSY is 0 again, or at the interrupt, if enabled; then ERROR says how. Commands and
errors are those of the link protocol, `docs/protocol.md`. Registers must not be written meanwhile.

| command | registers | bytes |
|---|---|---|
| LOAD | IMAGE_FORMAT, IMAGE_FINGERPRINT | |
| SECTION | SECTION | |
| DATA | | from the input stream, up to the one with TLAST |
| CHECK | CHECKSUM, LENGTH | |
| WRITE | ADDRESS | from the input stream, up to the one with TLAST |
| RUN | WIDTH | |
| CASCADE | CASCADE, ADDRESS, LENGTH | |
| READ | ADDRESS, LENGTH | to the output stream; the last has TLAST |
| SCRUB | SECTION, CHECKSUM, LENGTH | |

- An image: LOAD, then for each section SECTION, DATA as often as needed, CHECK.
- A frame: WRITE the input, RUN, READ the logits. Another width is another WIDTH, nothing else.
- DATA and WRITE take one byte a cycle, and all bytes up to TLAST, also if they are refused. READ
  gives a byte every 12 cycles, or slower.
- Bytes that never come are given up with RESET. Stop what feeds the input stream before; bytes
  of it that the core has taken are forgotten. Up to two of the output stream stay offered, as AXI
  has it: take them.
- The streams are 8 bits wide: let the width converter of your tool, or the DMA engine, make them
  so.
"""


def c_header() -> str:
    """Write the register map as a C header: offsets, masks, and what commands and errors are."""
    lines = [
        "/* Registers of the Downshift IP core: offsets in bytes, words of 32 bits. */",
        f"#ifndef {PREFIX}_REGISTERS_H",
        f"#define {PREFIX}_REGISTERS_H",
        "",
        f"#define {PREFIX}_MAP_VERSION {MAP_VERSION}u",
        f"#define {PREFIX}_MAP_BYTES {MAP_BYTES}u",
    ]
    for entry in REGISTERS:
        name = f"{PREFIX}_{entry.name}"
        lines += ["", f"/* {entry.description} {entry.access.capitalize()}. */"]
        lines.append(f"#define {name} {entry.offset:#04x}u")
        for field in entry.fields:
            whole = name if field.name == "VALUE" else f"{name}_{field.name}"
            if field.name != "VALUE":
                lines.append(f"/* {field.description} */")
            lines += [
                f"#define {whole}_SHIFT {field.low}u",
                f"#define {whole}_MASK {field.mask:#010x}u",
            ]
    for title, members in (("COMMAND", Command), ("ERROR", LinkError)):
        lines += ["", f"enum downshift_{title.lower()} {{"]
        lines += [f"    {PREFIX}_{title}_{m.name} = {m.value}," for m in members]
        lines.append("};")
    return "\n".join([*lines, "", "#endif", ""])


def documentation() -> str:
    """Write the register map as Markdown."""
    lines = [BEFORE.format(version=MAP_VERSION)]
    lines += [
        f"| `{entry.offset:#04x}` | {entry.name} | {entry.access} | {_reset(entry)} | "
        f"{entry.description} |"
        for entry in REGISTERS
    ]
    lines += ["", "## Fields", "", "| register | bits | field | |", "|---|---|---|---|"]
    for entry in REGISTERS:
        for field in entry.fields:
            if field.name != "VALUE" or field.width < 32:
                high = field.low + field.width - 1
                bits = f"{high}:{field.low}" if field.width > 1 else f"{field.low}"
                text = "" if field.name == "VALUE" else field.description
                lines.append(f"| {entry.name} | {bits} | {field.name} | {text} |")
    return "\n".join([*lines, AFTER])


def _reset(entry) -> str:
    return "" if entry.access in ("read-only", "write-only") else f"`{entry.reset:#x}`"
