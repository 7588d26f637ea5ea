"""`downshift inspect`."""

from pathlib import Path

import click

from downshift.sw.cli.console import print_json, print_table
from downshift.sw.cli.options import json_option

__all__ = ["inspect_file"]


TITLES = {
    "sections": "Sections",
    "memory": "Memory",
    "maps": "Maps, and bytes of each at a width",
    "layers": "Layers; bits of weights, of codes that enter and of those that leave",
}


@click.command("inspect", epilog="Example: downshift inspect model/model.img")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def inspect_file(file, as_json):
    """Check FILE, an integer graph (.safetensors) or an image (.img), and say what it holds.

    Every checksum is verified. Exit status 1 if the file is damaged.
    """
    from downshift.sw.compile.image import MAGIC

    try:
        with file.open("rb") as opened:
            is_image = opened.read(len(MAGIC)) == MAGIC
    except OSError:
        is_image = False  # reading it says what is wrong
    report = _image(file) if is_image or file.suffix == ".img" else _graph(file)
    if as_json:
        print_json(report)
        return
    for key, value in report.items():
        if not isinstance(value, list) or key in ("widths", "input_shape"):
            shown = "×".join(map(str, value)) if key == "input_shape" else value
            shown = ", ".join(map(str, value)) if key == "widths" else shown
            click.echo(f"{key.replace('_', ' ')}: {shown}")
        elif value:
            print_table(
                [name.replace("_", " ").capitalize() for name in value[0]],
                [list(entry.values()) for entry in value],
                title=TITLES[key],
            )


def _image(path: Path):
    """What an image holds."""
    from downshift.sw.compile.image import Image, Section, section_table
    from downshift.sw.compile.memory_use import memory_use

    image, content = Image.load(path), path.read_bytes()
    return {
        "format": "image",
        "version": int.from_bytes(content[8:12], "little"),
        "fingerprint": f"{image.config.fingerprint:08x}",
        "style": type(image.config).__name__,
        "network": image.network,
        "widths": image.widths,
        "macs": image.macs,
        "input_scale": image.input_scale,
        "input_offset": image.input_offset,
        "sections": [
            {
                "section": Section(section).name.lower(),
                "offset": offset,
                "bytes": length,
                "crc": f"{crc:08x}",
            }
            for section, offset, length, crc in section_table(content)
        ],
        "memory": [
            {"memory": name, "bytes": used, "there_are": there}
            for name, (used, there) in memory_use(image).items()
        ],
        "maps": [
            {
                "map": entry.name,
                "shape": "×".join(map(str, entry.shape)),
                **{f"at_{width}": image.map(entry.name, width).size for width in image.widths},
            }
            for entry in image.maps[image.widths[0]]
        ],
    }


def _graph(path: Path):
    """What an integer graph holds."""
    from downshift.sw.graph.graph_file import load_graph, read_header

    graph = load_graph(path)
    header = read_header(path)
    return {
        "format": "integer graph",
        "version": header["schema_version"],
        "crc": f"{header['crc32']:08x}",
        "network": graph.name,
        "input_shape": graph.input_shape,
        "input_scale": graph.input_scale,
        "input_offset": graph.input_offset,
        "multiplier_width": graph.multiplier_width,
        "widths": graph.widths,
        "macs": graph.macs,
        "weight_bytes": graph.weight_bytes,
        "file_bytes": path.stat().st_size,
        "provenance": ", ".join(f"{key} {value}" for key, value in graph.provenance.items()),
        "layers": [
            {
                "layer": layer.name,
                "takes": graph.source_of(layer),
                "adds": layer.residual or "",
                "weights": "×".join(map(str, layer.weight.shape)),
                "gives": "×".join(map(str, graph.shape_of(layer.name))),
                **{f"bits_at_{width}": _bits(layer.settings[width]) for width in graph.widths},
            }
            for layer in graph.layers
        ],
    }


def _bits(setting) -> str:
    """Bits of weights, of codes that enter, and of those that leave."""
    return f"{setting.weight_width}/{setting.in_width}/{setting.out_width}"
