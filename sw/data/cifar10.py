"""CIFAR-10: 60,000 photographs of 32 x 32 pixels."""

from pathlib import Path

import numpy as np

from downshift.sw.data.fetch import Progress, PublicFile
from downshift.sw.data.images import Images, make_images

__all__ = ["load_cifar10"]

FILE = PublicFile(
    name="cifar-10-binary.tar.gz",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    digests={
        f"cifar-10-batches-bin/{name}.bin": digest
        for name, digest in {
            "data_batch_1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "data_batch_2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "data_batch_3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "data_batch_4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "data_batch_5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "test_batch": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        }.items()
    },
)
PIXELS = 3 * 32 * 32


def load_cifar10(folder: Path, progress: Progress | None = None) -> Images:
    """Load CIFAR-10; source: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny
    Images*, 2009.
    """
    parts = {}
    for name, content in FILE.read(folder, progress).items():
        part = "test" if "test" in name else "train"
        parts.setdefault(part, []).append(np.frombuffer(content, np.uint8).reshape(-1, 1 + PIXELS))
    arrays = {}
    for part, batches in parts.items():
        rows = np.concatenate(batches)
        arrays[f"{part}_y"] = rows[:, 0]
        planes = rows[:, 1:].reshape(-1, 3, 32, 32)
        arrays[f"{part}_x"] = planes.transpose(0, 2, 3, 1)
    return make_images(arrays, input_scale=1 / 255, classes=10, where="cifar10")
