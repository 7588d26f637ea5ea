"""What `downshift bench` says to people."""

from collections.abc import Mapping
from typing import Any

import click

from downshift.sw.cli.console import print_table

__all__ = ["show_bench"]

RESOURCES = ("lut", "ff", "bram", "dsp")


def show_bench(report: Mapping[str, Any]) -> None:
    """Print a report of `downshift.boards.benchmark.benchmark` as tables."""
    if report["note"]:
        click.echo(report["note"])
    _show_widths(report)
    for width, entry in report["widths"].items():
        _show_layers(width, entry)
    _show_memory(report)
    if report["fmax_mhz"]:
        _show_hardware(report)


def _show_widths(report: Mapping[str, Any]) -> None:
    """Whole frames, width by width."""
    clock = report["fmax_mhz"] or report["clock_mhz"]
    print_table(
        ["Bits", "Cycles", "Predicted", "Busy", "Tile load", "Fetch", "Requantize",
         "Inferences/s", "Link bytes", "Over the link", "Compared", "Mismatches"],
        [
            [
                width, _known(entry["cycles"]), entry["predicted_cycles"], *_uses(entry),
                round(entry["inferences_per_s"]),
                *_link(entry["link"]), _known(entry["compared"]), _known(entry["mismatches"]),
            ]
            for width, entry in report["widths"].items()
        ],
        title=f"{report['network']} on {report['board']} at {clock:g} MHz"
        f"{'' if report['fmax_mhz'] else ', not routed'}: {report['macs']:,} MACs, "
        f"{report['weight_bytes']:,} bytes of weights; to load: "
        f"{', '.join(f'{size:,}' for size in report['image_bytes'])} bytes",
    )  # fmt: skip


def _uses(entry: Mapping[str, Any]) -> list[str]:
    """What cycles went to, as the accelerator counted it, or as predicted."""
    if entry["counted"]:
        return [f"{count / entry['cycles']:.1%}" for count in entry["counted"].values()]
    waits = [count / entry["predicted_cycles"] for count in entry["waits"].values()]
    return [f"{share:.1%}" for share in (entry["busy"], *waits)]


def _show_layers(width: str, entry: Mapping[str, Any]) -> None:
    print_table(
        ["Layer", "MACs", "Cycles", "Busy", "Tile load", "Fetch", "Requantize", "MACs/cycle",
         "Of peak", "Alone", "Predicted alone", "Mismatches"],
        [
            [
                layer["name"], layer["macs"], layer["predicted_cycles"], layer["busy"],
                layer["tile_load"], layer["fetch"], layer["requantize"],
                f"{layer['macs'] / layer['predicted_cycles']:.1f}",
                f"{layer['macs'] / layer['predicted_cycles'] / layer['peak_macs_per_cycle']:.1%}",
                _known(layer["cycles_alone"]), layer["predicted_cycles_alone"],
                _known(layer["mismatches"]),
            ]
            for layer in entry["layers"]
        ],
        title=f"{width} bits: cycles of the frame by layer; each layer by itself, simulated and "
        "predicted",
    )  # fmt: skip


def _show_memory(report: Mapping[str, Any]) -> None:
    """Where every map lies at every width; all of them are on the chip."""
    widths = report["widths"]
    maps = zip(*(entry["memory"] for entry in widths.values()), strict=True)
    used = ", ".join(
        f"{max(entry['first_byte'] + entry['bytes'] for entry in value['memory']):,} at {width}"
        for width, value in widths.items()
    )
    print_table(
        ["Map", "Shape", *(f"Bytes at {width}" for width in widths)],
        [
            [
                entries[0]["map"], "x".join(map(str, entries[0]["shape"])),
                *(
                    f"{entry['first_byte']:,}…{entry['first_byte'] + entry['bytes'] - 1:,}"
                    for entry in entries
                ),
            ]
            for entries in maps
        ],
        title=f"Activation memory, {report['activation_bytes']:,} bytes on the chip; used by bits: "
        f"{used}",
    )  # fmt: skip


def _show_hardware(report: Mapping[str, Any]) -> None:
    speeds = ", ".join(f"{fmax:g} MHz with seed {seed}" for seed, fmax in report["seeds"].items())
    print_table(
        ["Part", *(name.upper() for name in RESOURCES)],
        [
            *(
                [part, *(counts[name] for name in RESOURCES)]
                for part, counts in report["parts"].items()
            ),
            ["placed", *(report[name] for name in RESOURCES)],
            ["available", *(report["available"][name] for name in RESOURCES)],
        ],
        title=f"Routed for {report['clock_mhz']:g} MHz: {speeds}",
    )
    array = report["array"]
    click.echo(
        f"Array: {array['lut_share']:.1%} of the LUTs that were mapped, the rest "
        f"{array['other_lut_share']:.1%}; {array['lut_per_product']:.2f} LUTs for each of "
        f"{array['products_per_cycle']:,} products of bits a cycle."
    )


def _link(link: Mapping[str, int] | None) -> tuple[str | int, str | int]:
    """Bytes over the link for a frame, and frames a second if each waits for the one before."""
    if link is None:
        return "–", "–"
    return link["bytes_sent"] + link["bytes_received"], f"{link['inferences_per_s']:.1f}/s"


def _known(number: int | None) -> str | int:
    return "–" if number is None else number
