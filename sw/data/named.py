"""Data sets by what a command calls them."""

from pathlib import Path

from downshift.hw.errors import DownshiftError
from downshift.sw.data.archives import load_archive
from downshift.sw.data.cifar10 import load_cifar10
from downshift.sw.data.digits import load_digits
from downshift.sw.data.fetch import Progress, data_folder
from downshift.sw.data.folders import load_folder
from downshift.sw.data.images import Images
from downshift.sw.data.keywords import load_keywords
from downshift.sw.data.mnist import load_fashion_mnist, load_mnist

__all__ = ["DATASETS", "load_dataset"]

DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10", "keywords")


def load_dataset(
    name: str, *, folder: Path | None = None, progress: Progress | None = None
) -> Images:
    """Load a data set.

    Parameters
    ----------
    name : str
        One of `DATASETS`, a ``.npz`` file or a folder of pictures.
    folder : Path, optional
        Where data sets lie; by default ``$DOWNSHIFT_DATA``, else a folder in the user's cache. A
        file ``NAME.npz`` there comes first; what is missing is fetched from its public address.
    progress : callable, optional

    Returns
    -------
    Images

    Raises
    ------
    DownshiftError
        If there is no such data set, or it cannot be had.
    """
    if name == "digits":
        return load_digits()
    if name not in DATASETS:
        path = Path(name)
        if path.suffix == ".npz":
            return load_archive(path)
        if path.is_dir():
            return load_folder(path)
        raise DownshiftError(
            f"There is no data set {name!r}; name a .npz file, a folder of pictures, or one of "
            f"{', '.join(DATASETS)}"
        )
    folder = data_folder(folder)
    if (archive := folder / f"{name}.npz").is_file():
        return load_archive(archive)
    if name == "keywords":
        return load_keywords(folder)
    loaders = {"mnist": load_mnist, "fashion_mnist": load_fashion_mnist, "cifar10": load_cifar10}
    return loaders[name](folder, progress)
