"""Where the maps of a network lie in activation memory, planned by liveness."""

from dataclasses import dataclass

import numpy as np

from downshift.hw.errors import DownshiftError
from downshift.hw.mac import codes_per_byte
from downshift.hw.packing import pack_codes, pixel_bytes, unpack_codes
from downshift.sw.compile.free_places import lowest_places, map_lives
from downshift.sw.graph.integer_graph import INPUT, LOGIT_WIDTH, IntegerGraph

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


def plan_maps(
    graph: IntegerGraph, width: int, *, lanes: int, tile: int = 1, capacity: int
) -> tuple[Map, ...]:
    """Give every map of a network a place.

    Maps get places of their own while all of them fit, so that each can be read after a frame; they
    share memory, each with those that live beside it alone, only when they must.

    Parameters
    ----------
    graph : IntegerGraph
    width : int
        One of ``graph.widths``.
    lanes : int
        Pixels of all maps but the input start at multiples of this many bytes.
    tile : int
        Their channels are written so many at a time, a power of two: all have room.
    capacity : int
        Bytes of activation memory.

    Returns
    -------
    tuple of Map
        Input and output of each layer, in order.

    Raises
    ------
    DownshiftError
        If a layer's maps do not fit together with those that live on; says by how much.
    """
    maps = []
    for index, shape in enumerate(graph.shapes):
        if index == 0:
            name, bits, align = "input", graph.layers[0].settings[width].in_width, 1
        else:
            layer = graph.layers[index - 1]
            name, bits = layer.name, layer.settings[width].out_width
            align = max(lanes, tile * 4 if bits == LOGIT_WIDTH else tile // codes_per_byte(bits))
        if bits == LOGIT_WIDTH:
            size = -(-4 * shape[2] // align) * align
        else:
            size = pixel_bytes(shape[2], width=bits, align=align)
        maps.append(Map(name=name, shape=shape, width=bits, base=0, pixel_bytes=size))

    room = {entry.name: -(-entry.size // lanes) * lanes for entry in maps}
    if sum(room.values()) <= capacity:
        ends = np.cumsum(list(room.values())).tolist()
        bases = [0, *ends[:-1]]
    else:
        bases = _shared_places(graph, width, room, capacity)
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


def _shared_places(
    graph: IntegerGraph, width: int, room: dict[str, int], capacity: int
) -> list[int]:
    """Base of every map, those that do not live at once in each other's place."""
    steps = [(layer.name, (graph.source_of(layer), layer.residual)) for layer in graph.layers]
    lives = map_lives(INPUT, steps)
    for step, layer in enumerate(graph.layers):
        alive = [name for name, (first, last) in lives.items() if first <= step <= last]
        used = sum(room[name] for name in alive)
        if used > capacity:
            others = "" if len(alive) == 2 else ", and maps that are taken later"
            raise DownshiftError(
                f"Layer {layer.name} at width {width} needs {used:,} bytes of activation "
                f"memory for its input and output{others}, the accelerator has {capacity:,}: "
                f"{used - capacity:,} too few; use an AcceleratorConfig with more "
                "activation_bytes"
            )
    if all(last <= first + 1 for first, last in lives.values()):
        # In a chain only neighbours live at once: they take opposite ends.
        return [
            0 if index % 2 == 0 else capacity - size for index, size in enumerate(room.values())
        ]
    bases = lowest_places(room, lives)
    for name, base in bases.items():
        if base + room[name] > capacity:
            raise DownshiftError(
                f"The maps at width {width} need {base + room[name]:,} bytes of activation memory "
                f"as they lie, the accelerator has {capacity:,}: "
                f"{base + room[name] - capacity:,} too few; use an AcceleratorConfig with more "
                "activation_bytes"
            )
    return list(bases.values())
