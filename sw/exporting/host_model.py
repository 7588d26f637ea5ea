"""A compiled network as a C header for `downshift.c`, the host that a microcontroller can be."""

import re

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.packing import pixel_bytes
from downshift.hw.protocol import IMAGE_FORMAT
from downshift.sw.compile.image import Image

__all__ = ["DRIVER", "driver_texts", "host_model"]

DRIVER = ("downshift.h", "downshift.c")
LINE = 16
"""Bytes in a line."""


def driver_texts() -> dict[str, str]:
    """Return the C driver, by name of the file."""
    from importlib.resources import files

    folder = files("downshift.sw.device") / "c"
    return {name: (folder / name).read_text() for name in DRIVER}


def host_model(image: Image, *, name: str) -> str:
    """Write an image as a C header: a ``downshift_model``.

    Parameters
    ----------
    image : Image
        For an accelerator of the brick style, with one pixel of logits.
    name : str
        Of the model, behind ``model_``; what C does not allow in names becomes an underscore.

    Raises
    ------
    DownshiftError
        If the image is for another style, or its logits are a map.
    """
    if not isinstance(image.config, AcceleratorConfig):
        raise DownshiftError(
            "The C driver lays out inputs of the brick style only; compile for an AcceleratorConfig"
        )
    name = "model_" + re.sub(r"[^A-Za-z0-9_]", "_", name)
    height, columns, channels = image.input_shape
    classes = image.maps[image.widths[0]][-1].shape
    if classes[:2] != (1, 1):
        raise DownshiftError(f"The C driver reads one pixel of logits, not {classes[:2]}")
    guard = f"{name.upper()}_H"
    lines = [
        f"/* Compiled for the accelerator {image.config.fingerprint:08x}. */",
        f"#ifndef {guard}", f"#define {guard}", "", '#include "downshift.h"',
    ]  # fmt: skip
    sections, gears = [], []
    for section, content in image.sections().items():
        array = f"{name}_{section.name.lower()}"
        lines += ["", f"static const uint8_t {array}[{len(content) or 1}] = {{", *_bytes(content)]
        lines.append("};")
        claim = f"{len(content)}u, {image.checksum(section):#010x}u"
        sections.append(f"    {{{section.value}, {array}, {claim}}},")
    for width in image.widths:
        entering, *_, leaving = image.maps[width]
        assert entering.pixel_bytes == pixel_bytes(channels, width=entering.width)
        gears.append(f"    {{{width}, {entering.width}, {entering.base}u, {leaving.base}u}},")
    fields = (
        f"{image.config.fingerprint:#010x}u, {IMAGE_FORMAT}", f"{height * columns}u",
        f"{channels}u", f"{classes[2]}u", f"{name}_sections, {len(sections)}",
        f"{name}_gears, {len(gears)}",
    )  # fmt: skip
    lines += [
        "", f"static const downshift_section {name}_sections[] = {{", *sections, "};",
        "", f"static const downshift_gear {name}_gears[] = {{", *gears, "};",
        "", f"static const downshift_model {name} = {{", f"    {', '.join(fields)}", "};",
        "", "#endif", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _bytes(content: bytes) -> list[str]:
    lines = [content[start : start + LINE] for start in range(0, len(content), LINE)]
    return ["    " + ", ".join(map(str, line)) + "," for line in lines] or ["    0"]
