"""MNIST and Fashion-MNIST: 70,000 grey images of 28 x 28 pixels each."""

from pathlib import Path

import numpy as np

from downshift.sw.data.fetch import Progress, PublicFile
from downshift.sw.data.images import Images, make_images

__all__ = ["load_fashion_mnist", "load_mnist"]

PARTS = {
    "train_x": "train-images-idx3-ubyte",
    "train_y": "train-labels-idx1-ubyte",
    "test_x": "t10k-images-idx3-ubyte",
    "test_y": "t10k-labels-idx1-ubyte",
}
MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"
MNIST_DIGESTS = {
    "train_x": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train_y": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "test_x": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "test_y": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FASHION_DIGESTS = {
    "train_x": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train_y": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "test_x": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "test_y": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def load_mnist(folder: Path, progress: Progress | None = None) -> Images:
    """Load MNIST; source: Y. LeCun, C. Cortes, C. Burges, *The MNIST database*, 1998."""
    return _load("mnist", MNIST, MNIST_DIGESTS, folder, progress)


def load_fashion_mnist(folder: Path, progress: Progress | None = None) -> Images:
    """Load Fashion-MNIST; source: Xiao et al., arXiv 1708.07747."""
    return _load("fashion_mnist", FASHION, FASHION_DIGESTS, folder, progress)


def _load(name: str, url: str, digests: dict[str, str], folder: Path, progress) -> Images:
    arrays = {}
    for part, file in PARTS.items():
        public = PublicFile(
            name=f"{name}/{file}.gz", url=f"{url}/{file}.gz", digests={part: digests[part]}
        )
        content = np.frombuffer(public.read(folder, progress)[part], np.uint8)
        # Big-endian sizes follow four bytes of type; the digest has vouched for all of them.
        sizes = content[4 : 4 + 4 * content[3]].view(">u4")
        arrays[part] = content[4 + 4 * content[3] :].reshape([int(size) for size in sizes])
    return make_images(arrays, input_scale=1 / 255, classes=10, where=name)
