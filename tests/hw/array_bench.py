"""An array on its bench: random tiles of weights and vectors, and what golden makes of them."""

import numpy as np

from downshift.hw.mac import codes_per_byte, multiply_accumulate
from downshift.sim.block_bench import run

PAIRS = [(w, a) for w in range(2, 9) for a in range(2, 9)]
"""Widths of weights and activations."""


def random_tiles(rng, *, rows, lanes, weight_width, act_width, tiles, vectors):
    """Weights (tiles, rows, codes), activation codes (tiles, vectors, codes)."""
    codes = lanes * codes_per_byte(act_width)
    top = 1 << (weight_width - 1)
    weights = rng.integers(-top, top, (tiles, rows, codes))
    acts = rng.integers(0, 1 << act_width, (tiles, vectors, codes))
    weights[0, 0], acts[0, 0] = -top, (1 << act_width) - 1  # extremes
    return weights, acts


def pack(codes, act_width):
    """Codes (..., n) into bytes (..., n / codes per byte)."""
    per_byte = codes_per_byte(act_width)
    split = codes.reshape(*codes.shape[:-1], -1, per_byte)
    return (split << (np.arange(per_byte) * (8 // per_byte))).sum(-1)


def run_array(dut, weights, acts, *, weight_width, act_width, gaps=0.0, seed=0):
    tiles, vectors, _ = acts.shape
    packed = pack(acts, act_width)
    tags = [
        {"first": t == 0, "last": t == tiles - 1, "end": v == vectors - 1}
        for t in range(tiles)
        for v in range(vectors)
    ]
    taken, cycles = run(
        dut,
        {
            "i_weights": [word.tolist() for tile in weights for word in tile.T],
            "i_acts": [{"lanes": lanes.tolist(), "tags": tag}
                       for lanes, tag in zip(packed.reshape(-1, dut.lanes), tags, strict=True)],
        },
        outputs={"o": tiles * vectors},
        settings={"weight_width": weight_width, "pack": codes_per_byte(act_width).bit_length() - 1},
        gaps=gaps,
        settle=1,
        seed=seed,
    )  # fmt: skip
    return taken["o"], cycles


def golden(weights, acts):
    return np.concatenate(
        [multiply_accumulate(w.astype(np.int8), a.astype(np.uint8))
         for w, a in zip(weights, acts, strict=True)]
    )  # fmt: skip
