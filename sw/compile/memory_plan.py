"""Where the maps of a network lie in activation memory, planned by liveness."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.hw.packing import pack_codes, pixel_bytes, unpack_codes
from downshift.sw.graph.integer_graph import LOGIT_WIDTH, IntegerGraph

__all__ = ["Map", "plan_maps"]


@dataclass(frozen=True, kw_only=True)
class Map:
    """One map of codes or logits in activation memory."""

    name: str
    """Of the layer that gives it; "input" for the first."""
    shape: tuple[int, int, int]
    """(height, width, channels)."""
    width: int
    """Bits of a code; 32 for logits."""
    base: int
    """Address of the first byte."""
    pixel_bytes: int
    """From one pixel to the next."""

    @property
    def row_bytes(self) -> int:
        """From one row to the next."""
        return self.shape[1] * self.pixel_bytes

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.shape[0] * self.row_bytes

    @property
    def end(self) -> int:
        """Address after the last byte."""
        return self.base + self.size

    def encode(self, codes: np.ndarray) -> bytes:
        """Pack codes, uint8 of `shape`."""
        return pack_codes(codes, width=self.width).tobytes()

    def decode(self, content: bytes) -> np.ndarray:
        """Codes (uint8) or logits (int32), of `shape`, from the bytes of the map."""
        pixels = np.frombuffer(content, np.uint8).reshape(*self.shape[:2], self.pixel_bytes)
        channels = self.shape[2]
        if self.width == LOGIT_WIDTH:
            return pixels[..., : 4 * channels].copy().view("<i4")
        return unpack_codes(pixels, channels=channels, width=self.width)

    def check(self, *, entering: bool, logits: bool, capacity: int) -> None:
        """Raise TypeError or ValueError unless the map is whole and lies in `capacity` bytes."""
        if not isinstance(self.name, str):
            raise TypeError(f"name of a map must be a string, not {self.name!r}")
        numbers = (*self.shape, self.width, self.base, self.pixel_bytes)
        if len(self.shape) != 3 or any(type(number) is not int for number in numbers):
            raise TypeError(f"map {self.name} must have three sizes and integers only")
        if min(self.shape) < 1 or self.base < 0:
            raise ValueError(f"map {self.name} must have positive sizes and a base, not negative")
        if self.width not in ((LOGIT_WIDTH,) if logits else range(2, 9)):
            raise ValueError(f"map {self.name} cannot be {self.width!r} bits wide")
        channels = self.shape[2]
        least = 4 * channels if logits else pixel_bytes(channels, width=self.width)
        if self.pixel_bytes < least or self.end > capacity:
            raise ValueError(f"map {self.name} must lie in {capacity} bytes, not end at {self.end}")
        if entering and self.pixel_bytes != least:
            raise ValueError(f"input pixels must be packed, not in {self.pixel_bytes} bytes")


def plan_maps(graph: IntegerGraph, width: int, *, lanes: int, capacity: int) -> tuple[Map, ...]:
    """Give every map of a network a place.

    Maps get places of their own while all of them fit, so that each can be read after a frame; they
    share memory, each with the next alone, only when they must.

    Parameters
    ----------
    graph : IntegerGraph
    width : int
        One of ``graph.widths``.
    lanes : int
        Pixels of all maps but the input start at multiples of this many bytes.
    capacity : int
        Bytes of activation memory.

    Returns
    -------
    tuple of Map
        Input and output of each layer, in order.

    Raises
    ------
    DownshiftError
        If a layer's input and output do not fit together; says by how much.
    """
    maps = []
    for index, shape in enumerate(graph.shapes):
        if index == 0:
            name, bits, align = "input", graph.layers[0].settings[width].in_width, 1
        else:
            layer = graph.layers[index - 1]
            name, bits, align = layer.name, layer.settings[width].out_width, lanes
        if bits == LOGIT_WIDTH:
            size = -(-4 * shape[2] // align) * align
        else:
            size = pixel_bytes(shape[2], width=bits, align=align)
        maps.append(Map(name=name, shape=shape, width=bits, base=0, pixel_bytes=size))

    room = [-(-entry.size // lanes) * lanes for entry in maps]
    if sum(room) <= capacity:
        bases = [sum(room[:index]) for index in range(len(room))]
    else:
        # In a chain only neighbours live at once: they take opposite ends.
        bases = [0 if index % 2 == 0 else capacity - size for index, size in enumerate(room)]
        for layer, (entering, leaving) in zip(graph.layers, pairwise(room), strict=True):
            used = entering + leaving
            if used > capacity:
                raise DownshiftError(
                    f"Layer {layer.name} at width {width} needs {used:,} bytes of activation "
                    f"memory for its input and output, the accelerator has {capacity:,}: "
                    f"{used - capacity:,} too few; use an AcceleratorConfig with more "
                    "activation_bytes"
                )
    return tuple(
        Map(
            name=entry.name,
            shape=entry.shape,
            width=entry.width,
            base=base,
            pixel_bytes=entry.pixel_bytes,
        )
        for entry, base in zip(maps, bases, strict=True)
    )
