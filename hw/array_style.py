"""The styles of array that an `AcceleratorConfig` may have, and how long each takes."""

from dataclasses import dataclass

from downshift.hw.brick import BrickArray
from downshift.hw.code_tile import CodeTile
from downshift.hw.config import AcceleratorConfig, DspConfig
from downshift.hw.dsp_array import DspArray
from downshift.hw.fabric import Fabric
from downshift.hw.precision_switch import code_width
from downshift.hw.tile import tile_kind

__all__ = ["ArrayTiming", "array_timing", "make_array"]


@dataclass(frozen=True, kw_only=True)
class ArrayTiming:
    """Cycles that an array takes."""

    steps: int
    """For a vector."""
    latency: int
    """From the last step of a vector to its results."""
    load: int
    """For a tile of weights."""
    load_gap: int
    """Between the last word of a tile and the first of the next, at least."""


def make_array(config: AcceleratorConfig, *, fabric: Fabric) -> BrickArray | DspArray:
    """Make the array of a configuration."""
    if isinstance(config, DspConfig):
        return DspArray(
            rows=config.rows,
            lanes=config.lanes,
            pipelined=config.pipelined,
            pairs=config.pairs,
            fabric=fabric,
        )
    return BrickArray(
        rows=config.rows,
        lanes=config.lanes,
        tile_memory=config.tile_memory,
        pipelined=config.pipelined,
    )


def array_timing(config: AcceleratorConfig, *, weight_code: int, pack: int) -> ArrayTiming:
    """Tell the cycles of a configuration's array.

    Parameters
    ----------
    config : AcceleratorConfig
    weight_code : int
        `switch_code` of the weights.
    pack : int
        log2 of the activation codes in a byte.
    """
    words = config.lanes << pack
    if isinstance(config, DspConfig):
        widths = {"weight_width": code_width(weight_code), "pack": pack}
        return ArrayTiming(
            steps=DspArray.steps_of(**widths, pairs=config.pairs),
            latency=DspArray.latency_of(
                lanes=config.lanes,
                pipelined=config.pipelined,
                together=DspArray.together(**widths),
            ),
            load=words,
            load_gap=CodeTile.load_gap,
        )
    digits = (code_width(weight_code) + 1) // 2
    tile = tile_kind(in_memory=config.tile_memory)
    return ArrayTiming(
        steps=digits,
        latency=BrickArray.latency_of(lanes=config.lanes),
        load=tile.load_cycles(words, digits),
        load_gap=tile.load_gap,
    )
