"""One map of codes or logits in the memory of a table accelerator: `WordMap`."""

from dataclasses import dataclass

import numpy as np

from downshift.hw.map_layout import WORD_BYTES, LogitsLayout, MapLayout
from downshift.hw.table import LAYOUTS
from downshift.sw.graph.layer import LOGIT_WIDTH

__all__ = ["WordMap", "stored_width"]


def stored_width(width: int) -> int:
    """Bits in which codes of `width` bits are stored: an even number."""
    return width + width % 2


@dataclass(frozen=True, kw_only=True)
class WordMap:
    """One map, in words of 16 bytes; see `MapLayout` and `LogitsLayout`."""

    name: str
    """Of the layer that gives it; "input" for the first."""
    shape: tuple[int, int, int]
    """(height, width, channels)."""
    width: int
    """Bits of a code; 32 for logits."""
    base: int = 0
    """Address of the first byte."""
    pack: int = 0
    group: int = 16
    strip: int = 1
    """As of `MapLayout`; of no meaning for logits, like `pack` and `group`."""
    zero_point: int = 0
    """Code of zero."""
    shift: int = 0
    """As of `LogitsLayout`."""

    @property
    def layout(self) -> MapLayout | LogitsLayout:
        """Where its words lie, from `base` on."""
        height, width, channels = self.shape
        if self.width == LOGIT_WIDTH:
            return LogitsLayout(height=height, width=width, channels=channels, shift=self.shift)
        return MapLayout(
            height=height,
            width=width,
            channels=channels,
            code_width=stored_width(self.width),
            pack=self.pack,
            group=self.group,
            strip=self.strip,
        )

    @property
    def base_word(self) -> int:
        """Address of the first word."""
        return self.base // WORD_BYTES

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.layout.words * WORD_BYTES

    @property
    def end(self) -> int:
        """Address after the last byte."""
        return self.base + self.size

    def encode(self, codes: np.ndarray) -> bytes:
        """Lay out codes, uint8 of `shape`."""
        layout = self.layout
        assert isinstance(layout, MapLayout)
        return layout.encode(codes, zero_point=self.zero_point).tobytes()

    def decode(self, content: bytes) -> np.ndarray:
        """Codes (uint8) or logits (int32), of `shape`, from the bytes of the map."""
        return self.layout.decode(np.frombuffer(content, np.uint8).reshape(-1, WORD_BYTES))

    def check(self, *, entering: bool, logits: bool, capacity: int) -> None:
        """Raise TypeError or ValueError unless the map is whole and lies in `capacity` bytes."""
        if not isinstance(self.name, str):
            raise TypeError(f"name of a map must be a string, not {self.name!r}")
        others = (self.width, self.base, self.pack, self.group, self.strip, self.shift)
        numbers = (*self.shape, *others, self.zero_point)
        if len(self.shape) != 3 or any(type(number) is not int for number in numbers):
            raise TypeError(f"map {self.name} must have three sizes and integers only")
        if self.width not in ((LOGIT_WIDTH,) if logits and not entering else range(2, 9)):
            raise ValueError(f"map {self.name} cannot be {self.width!r} bits wide")
        if not 1 <= min(self.shape) <= max(self.shape) <= capacity:
            raise ValueError(f"map {self.name} must have sizes in 1..{capacity}, not {self.shape}")
        if self.group not in LAYOUTS.get(self.pack, ()) or not 1 <= self.strip <= capacity:
            raise ValueError(
                f"map {self.name} cannot have words of {self.group} channels, packed by "
                f"2**{self.pack}, in strips of {self.strip} rows"
            )
        if not 0 <= self.zero_point < 256 or not 0 <= self.shift <= 12:
            raise ValueError(f"map {self.name} has a zero point or shift out of range")
        if self.base < 0 or self.base % WORD_BYTES or self.end > capacity:
            raise ValueError(f"map {self.name} must lie in {capacity} bytes, not end at {self.end}")
