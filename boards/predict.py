"""What an accelerator will take of an FPGA, before anything is synthesised: `predict`."""

from dataclasses import dataclass
from functools import cache
from math import ceil, log2

import numpy as np

from downshift.boards.board import Resources
from downshift.boards.fit_runs import read_runs, run_config
from downshift.hw.code_tile import CodeTile
from downshift.hw.config import AcceleratorConfig, DspConfig
from downshift.hw.ice40 import Ice40Fabric
from downshift.hw.protocol import MAX_FRAME, QUEUE_BYTES, Feature
from downshift.hw.region import PARAMETER_BYTES

__all__ = ["block_memories", "memories", "multipliers", "predict"]

TRELLIS = {36: 512, 18: 1024, 9: 2048, 4: 4096, 2: 8192, 1: 16384}
MODES = {
    "ecp5": TRELLIS,
    "gowin": TRELLIS,
    "ice40": {16: 256, 8: 512, 4: 1024, 2: 2048},
}
"""By family: how many words a block memory has, by their bits."""
NINTHS = {"ecp5", "gowin"}
"""Families whose bytes have nine bits, of which one is lost where single bytes are written."""
SPRAM_BITS, SPRAM_WORDS = 16, 16384
SPRAM_COST = 32
"""In block memories: how many of them Yosys takes before it takes one of those."""
LUT_RAM = {"ecp5": 6, "gowin": 4}
"""By family: look-up tables of 16 words of 4 bits."""
LUT_RAM_COST = 1 / 32
"""In block memories, as Yosys weighs them."""
SUM_BITS = 32
TILE_WORDS = 8


@dataclass(frozen=True)
class Memory:
    """A memory of the accelerator, as often as it has it."""

    bits: int
    words: int
    count: int = 1
    bytewise: bool = False
    """Single bytes are written."""
    idle_bytes: int = 0
    """Of every eight: those that nobody reads."""


def memories(
    config: AcceleratorConfig, features: Feature = Feature.NONE
) -> tuple[Memory, ...]:
    """Return the memories of an accelerator, but for tiles, and its weights first."""
    lanes = config.lanes
    return (
        Memory(8 * config.rows, config.weight_depth, bytewise=True),
        Memory(8, config.activation_bytes // lanes, count=lanes),
        Memory(32, config.program_depth, bytewise=True),
        Memory(64 * config.requantizers, config.parameter_depth, bytewise=True, idle_bytes=1),
        Memory(SUM_BITS * config.rows, config.partial_sum_depth),
        Memory(8, QUEUE_BYTES + 1 if Feature.QUEUE in features else MAX_FRAME),
    )


def block_memories(
    family: str, config: AcceleratorConfig, features: Feature = Feature.NONE
) -> tuple[int, int, int]:
    """Count what an accelerator's memories take: blocks, large ones (SPRAM), and look-up tables.

    Examples
    --------
    >>> block_memories("ecp5", AcceleratorConfig())
    (26, 0, 0)
    """
    blocks = large = lut_rams = 0
    for number, memory in enumerate(memories(config, features)):
        taken = _blocks(family, memory)
        small = ceil(memory.bits / 4) * ceil(memory.words / 16)
        if number == 0 and family == "ice40":
            pieces = ceil(memory.bits / SPRAM_BITS) * ceil(memory.words / SPRAM_WORDS)
            if pieces * SPRAM_COST <= taken:
                large, taken = pieces, 0
        if family in LUT_RAM and small * LUT_RAM_COST < taken:
            lut_rams, taken = lut_rams + memory.count * small, 0
        blocks += memory.count * taken
    if family == "ice40" and config.tile_memory:
        blocks += _blocks(family, Memory(8 * config.rows * config.lanes, TILE_WORDS))
    if isinstance(config, DspConfig):
        word = CodeTile.bits_of(pairs=config.pairs) * config.rows
        if family in LUT_RAM:
            lut_rams += config.lanes * ceil(word / 4)
        else:
            blocks += config.lanes * _blocks(family, Memory(word, TILE_WORDS))
    return blocks, large, LUT_RAM.get(family, 0) * lut_rams


def predict(
    family: str, config: AcceleratorConfig, *, features: Feature = Feature.NONE
) -> Resources:
    """Predict the cells of a whole design, host link included.

    Look-up tables and flip-flops are those of accelerators that were packed, by least squares.

    Parameters
    ----------
    family : str
        As `Board.family`.
    config : AcceleratorConfig
    features : Feature
        Commands that it knows besides.

    Returns
    -------
    Resources
    """
    bram, spram, lut_ram = block_memories(family, config, features)
    sizes = _sizes(config, features)
    lut, ff = (round(float(sizes @ weights)) for weights in _weights(family))
    dsp = multipliers(family, config)
    return Resources(lut=lut + lut_ram, ff=ff, bram=bram, dsp=dsp, spram=spram)


def multipliers(family: str, config: AcceleratorConfig) -> int:
    """Count what an accelerator takes of hard multipliers.

    Examples
    --------
    >>> multipliers("ecp5", AcceleratorConfig(requantizers=1))
    2
    >>> multipliers("ecp5", DspConfig(rows=4, lanes=4, requantizers=1))
    18
    >>> slow = {"requantizers": 1, "pipelined": False, "half_rate": True}
    >>> multipliers("ice40", DspConfig(lanes=4, pairs=False, **slow))
    8
    """
    products = config.rows * config.lanes if isinstance(config, DspConfig) else 0
    if family == "ice40" and products and not config.pairs:
        products = min(products // 2, Ice40Fabric.hard_pairs)
    return products + (2 - config.half_rate + config.all_layers) * config.requantizers


def _blocks(family: str, memory: Memory) -> int:
    """Block memories of one memory, in the shape that takes the fewest."""
    return min(_blocks_of(family, memory, *mode) for mode in MODES[family].items())


def _blocks_of(family: str, memory: Memory, width: int, words: int) -> int:
    if memory.bytewise and family in NINTHS and width >= 9:
        width = width // 9 * 8
    used = memory.bits
    if width <= 8:
        used -= used // 8 * memory.idle_bytes
    return ceil(used / width) * ceil(memory.words / words)


@cache
def _weights(family: str) -> tuple[np.ndarray, np.ndarray]:
    """Least relative squares of the runs of a family, for look-up tables and flip-flops."""
    runs = read_runs()[family]
    sizes = np.array([_sizes(run_config(run), Feature(run["features"])) for run in runs])
    found = []
    for resource in ("lut", "ff"):
        counted = np.array([run[resource] for run in runs], float)
        if resource == "lut":
            counted -= [block_memories(family, run_config(run))[2] for run in runs]
        scaled = sizes / counted[:, None]
        # What runs do not tell apart stays small.
        ridge = 1e-3 * np.abs(scaled).mean(axis=0).max() * np.eye(sizes.shape[1])
        left, right = np.vstack([scaled, ridge]), np.r_[np.ones(len(runs)), np.zeros(len(ridge))]
        found.append(np.linalg.lstsq(left, right, rcond=None)[0])
    return found[0], found[1]


def _sizes(config: AcceleratorConfig, features: Feature) -> np.ndarray:
    """What cells grow with."""
    rows, lanes, requantizers = config.rows, config.lanes, config.requantizers
    bricks, hard = rows * lanes, isinstance(config, DspConfig)
    scrubbing, cascading, queueing = (
        float(each in features) for each in (Feature.SCRUB, Feature.CASCADE, Feature.QUEUE)
    )
    return np.array([
        1.0,
        bricks,
        bricks * config.tile_memory,
        bricks * hard,
        bricks * hard * log2(lanes),
        rows * hard,
        lanes * hard,
        rows,
        rows * config.tile_memory,
        lanes,
        lanes * log2(lanes),
        requantizers,
        requantizers * log2(config.groups) if config.groups > 1 else 0.0,
        config.all_layers,
        rows * config.all_layers,
        requantizers * config.all_layers,
        rows * min(1, config.output_depth - 1),
        log2(config.weight_depth) + log2(config.program_depth) + log2(config.parameter_depth),
        log2(config.activation_bytes) * lanes,
        log2(config.partial_sum_depth),
        cascading,
        queueing,
        scrubbing,
        scrubbing * (rows + PARAMETER_BYTES * requantizers),
    ])
