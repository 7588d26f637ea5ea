"""How a map of activation codes lies in memory, in words that the table array takes as they are."""

from dataclasses import dataclass

import numpy as np

from downshift.hw.table import LANES, QUARTERS, table_slots, table_vectors

__all__ = ["LOGIT_LANES", "WORD_BYTES", "LogitsLayout", "MapLayout"]

WORD_BYTES = LANES * QUARTERS
"""Bytes of a word: four quarters of four lanes."""
LOGIT_LANES = QUARTERS
"""Logits in a word."""


@dataclass(frozen=True, kw_only=True)
class MapLayout:
    """Words of a map: the pixels of all slots that share a place, and a group of their channels.

    ::

        rows      slot 0  . . . .       word of row 1, column 2, group 0:
        0…2               . . a .
                          . . . .       | a: channels 0…7 | b: channels 0…7 |
        rows      slot 1  . . . .
        3…5               . . b .
                          . . . .

    A slot is a strip of `strip` rows. Rows past the last hold the zero point, channels past the
    last anything.
    """

    height: int
    width: int
    channels: int
    code_width: int
    """Bits of a code; at most ``8 >> pack``."""
    pack: int
    """log2 of the codes in a byte."""
    group: int
    """Channels in a word: 4, 8, 16 or 32, as many as `table_slots` allows."""
    strip: int
    """Rows of a slot; all slots together have at least `height`."""

    def __post_init__(self):
        if self.code_width > 8 >> self.pack:
            raise ValueError(
                f"Codes of {self.code_width} bits cannot be packed by {1 << self.pack}"
            )
        if self.strip * self.slots < self.height:
            raise ValueError(
                f"{self.slots} strips of {self.strip} rows cannot hold {self.height} rows"
            )

    @property
    def slots(self) -> int:
        """Strips that share the words."""
        return table_slots(pack=self.pack, channels=self.group)

    @property
    def groups(self) -> int:
        """Words of a pixel."""
        return -(-self.channels // self.group)

    @property
    def row_words(self) -> int:
        """From one row of the strips to the next."""
        return self.width * self.groups

    @property
    def words(self) -> int:
        """Words in all."""
        return self.strip * self.row_words

    def encode(self, codes, *, zero_point):
        """Lay out a map.

        Parameters
        ----------
        codes : uint8 array, shape (..., height, width, channels)
        zero_point : int
            Code of zero, for rows past the last.

        Returns
        -------
        uint8 array, shape (..., words, 16)

        Examples
        --------
        >>> sizes = {"height": 2, "width": 1, "channels": 3}
        >>> layout = MapLayout(**sizes, code_width=8, pack=0, group=8, strip=1)
        >>> layout.encode(np.uint8([[[1, 2, 3]], [[4, 5, 6]]]), zero_point=0).tolist()
        [[1, 2, 3, 0, 0, 0, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0]]
        """
        codes = np.asarray(codes, np.uint8)
        batch = codes.shape[:-3]
        places = np.zeros(
            (*batch, self.slots * self.strip, self.width, self.groups * self.group), np.uint8
        )
        places[..., self.height :, :, :] = zero_point
        places[..., : self.height, :, : self.channels] = codes
        by_slot = places.reshape(
            *batch, self.slots, self.strip, self.width, self.groups, 1, self.group
        )
        slots_last = np.moveaxis(by_slot, -6, -3)  # (..., strip, column, group, slot, 1, channel)
        words = table_vectors(slots_last, width=self.code_width, pack=self.pack)
        return words.reshape(*batch, self.words, WORD_BYTES)

    def decode(self, words):
        """Read a map back: the inverse of `encode`.

        Parameters
        ----------
        words : uint8 array, shape (..., words, 16)

        Returns
        -------
        uint8 array, shape (..., height, width, channels)
        """
        words = np.asarray(words, np.uint8)
        batch = words.shape[:-2]
        per_byte, bits = 1 << self.pack, 8 >> self.pack
        split = words.reshape(
            *batch, self.strip, self.width, self.groups, self.slots, -1, 1, LANES
        )  # (..., strip, column, group, slot, part, 1, lane)
        places = np.arange(per_byte, dtype=np.uint8)[:, None] * bits + (bits - self.code_width)
        codes = split >> places & ((1 << self.code_width) - 1)
        by_slot = codes.reshape(*batch, self.strip, self.width, self.groups, self.slots, self.group)
        slots_first = np.moveaxis(by_slot, -2, -5)  # (..., slot, strip, column, group, channel)
        rows = slots_first.reshape(*batch, self.slots * self.strip, self.width, -1)
        return rows[..., : self.height, :, : self.channels]


@dataclass(frozen=True, kw_only=True)
class LogitsLayout:
    """Words of a map of sums: four channels of a pixel, 32 bits each."""

    height: int
    width: int
    channels: int
    shift: int
    """Bits by which the sums stand too high."""

    slots = 1

    @property
    def strip(self) -> int:
        """Rows of the one slot."""
        return self.height

    @property
    def groups(self) -> int:
        """Words of a pixel."""
        return -(-self.channels // LOGIT_LANES)

    @property
    def row_words(self) -> int:
        """From one row to the next."""
        return self.width * self.groups

    @property
    def words(self) -> int:
        """Words in all."""
        return self.height * self.row_words

    def decode(self, words):
        """Read a map.

        Parameters
        ----------
        words : uint8 array, shape (..., words, 16)

        Returns
        -------
        int32 array, shape (..., height, width, channels)
        """
        words = np.ascontiguousarray(words, np.uint8)
        sums = words.view("<i4").reshape(*words.shape[:-2], self.height, self.width, -1)
        return sums[..., : self.channels] >> self.shift
