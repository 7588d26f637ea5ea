"""Images of an archive, as few as can be."""

import numpy as np


def arrays(shape=(5, 7, 3), **changes):
    rng = np.random.default_rng(0)
    content = {
        "train_x": rng.integers(0, 256, (30, *shape)).astype(np.uint8),
        "train_y": np.arange(30) % 3,
        "test_x": rng.integers(0, 256, (8, *shape)).astype(np.uint8),
        "test_y": np.arange(8) % 3,
    }
    return {name: array for name, array in (content | changes).items() if array is not None}
