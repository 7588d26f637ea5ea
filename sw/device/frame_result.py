"""What a frame gave: its logits, and what the accelerator counted meanwhile."""

from dataclasses import dataclass

import numpy as np

__all__ = ["FrameCounters", "FrameResult"]


@dataclass(frozen=True, kw_only=True)
class FrameCounters:
    """What an accelerator counted during a frame."""

    cycles: int
    """Clock cycles from start to done."""
    busy: int
    """Cycles in which multipliers work."""
    tile_load: int
    """Cycles in which they wait for weights, or tables are filled."""
    fetch: int
    """Cycles in which they wait for the map that enters, or a pool reads it."""
    weight_words: int
    """Words read from the weight store."""

    @classmethod
    def from_reply(cls, reply: bytes) -> "FrameCounters":
        """Read what RUN replies."""
        names = ("cycles", "busy", "tile_load", "fetch", "weight_words")
        return cls(**dict(zip(names, np.frombuffer(reply, "<u4").tolist(), strict=True)))

    @property
    def requantize(self) -> int:
        """Cycles that went to anything else: results on their way to memory, and the next pass."""
        return self.cycles - self.busy - self.tile_load - self.fetch


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameResult:
    """One frame."""

    logits: np.ndarray
    """int32, (classes,)."""
    counters: FrameCounters

    @property
    def label(self) -> int:
        """Index of the largest logit, the first of equals."""
        return int(self.logits.argmax())

    @property
    def cycles(self) -> int:
        """Clock cycles from start to done."""
        return self.counters.cycles
