"""Layers that run alone, each on the maps that those before it have left."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from downshift.hw.conv_layer import ConvLayer
from downshift.hw.descriptor import PROFILES, LayerDescriptor, descriptor_fields
from downshift.hw.protocol import Command
from downshift.hw.sequencer import program_layers
from downshift.hw.table_config import TableConfig
from downshift.sw.compile.image import Image
from downshift.sw.device.driver import Accelerator
from downshift.sw.device.frame_result import FrameCounters

__all__ = ["layer_image", "layer_passes", "overwritten_maps", "run_layers"]


def layer_passes(image: Image, width: int) -> dict[str, list[list[int]]]:
    """List the descriptors of each layer at a width.

    Parameters
    ----------
    image : Image
    width : int
        One of ``image.widths``.

    Returns
    -------
    dict of str to list of list of int
        By name of the layer, in order: words of each of its passes.
    """
    table = isinstance(image.config, TableConfig)
    layer: Any = ConvLayer if table else LayerDescriptor
    program = np.frombuffer(image.program, "<u4").tolist()
    groups: list[list[list[int]]] = []
    end = 0  # of the parameters of a layer, which has some of its own
    for words in program_layers(program, width, layer):
        fields = descriptor_fields(words, layer)
        if not (table and fields["pool"]):
            base = fields["parameters"]["base"] if table else fields["parameter_base"]
            if not groups or base >= end:
                groups.append([])
                target = image.maps[width][len(groups)]
                end = base + _parameter_words(image, target.shape[2])
        groups[-1].append(words)
    names = [entry.name for entry in image.maps[width][1:]]
    return dict(zip(names, groups, strict=True))


def _parameter_words(image: Image, channels: int) -> int:
    """Words of the parameter store that a layer has at a width, at least one."""
    config = image.config
    if isinstance(config, TableConfig):
        return 1  # all its passes begin with the same word
    return -(-channels // config.rows) * config.groups


def layer_image(image: Image, width: int, passes: list[list[int]]) -> Image:
    """Make an image that runs some passes of another one at one width.

    It has no weights and parameters: an accelerator that loads it after the other one keeps them.

    Parameters
    ----------
    image : Image
    width : int
    passes : list of list of int
        Words of descriptors.
    """
    program = [0] * PROFILES
    program[width] = PROFILES
    for index, words in enumerate(passes):
        last = index + 1 == len(passes)
        program += [words[0] & ~1 | last, *words[1:]]
    return replace(
        image,
        maps={width: image.maps[width]},
        program=np.array(program, "<u4").tobytes(),
        weights=b"",
        parameters=b"",
    )


def overwritten_maps(image: Image, width: int) -> set[str]:
    """Names of the maps in whose place others lie when a frame has ended."""
    maps = image.maps[width]
    return {
        entry.name
        for index, entry in enumerate(maps)
        if any(later.base < entry.end and entry.base < later.end for later in maps[index + 1 :])
    }


def run_layers(
    accelerator: Accelerator, image: Image, width: int, x: np.ndarray
) -> Iterator[tuple[str, FrameCounters]]:
    """Run a frame layer by layer; after each, its map can be read.

    Parameters
    ----------
    accelerator : Accelerator
        Has loaded `image`; its program is lost.
    image : Image
    width : int
    x : uint8 array, shape (height, width, channels)

    Yields
    ------
    (str, FrameCounters)
        Name of the layer that has run.
    """
    accelerator.link.write(image.maps[width][0].base, image.encode_input(x, width))
    for name, passes in layer_passes(image, width).items():
        accelerator.load(layer_image(image, width, passes))
        reply = accelerator.link.request(Command.RUN, bytes([width]))
        yield name, FrameCounters.from_reply(reply)
