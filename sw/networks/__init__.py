"""Networks in FP32, to be trained and prepared: one file each, by what a command calls them."""

from importlib import import_module
from typing import TYPE_CHECKING

from downshift.hw.errors import DownshiftError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NETWORKS", "build_network"]

NETWORKS = {
    "small": ("small", "SmallNet"),
    "lenet": ("lenet", "LeNet"),
    "resnet8": ("resnet", "ResNet8"),
    "resnet20": ("resnet", "ResNet20"),
    "ds-cnn": ("ds_cnn", "DsCnn"),
    "mobilenet-v1": ("mobilenet", "MobileNetV1"),
    "mobilenet-v2": ("mobilenet", "MobileNetV2"),
    "autoencoder": ("autoencoder", "Autoencoder"),
    "perceptron": ("perceptron", "Perceptron"),
}
"""Module and class by name; torch is imported with the module."""


def build_network(name: str, input_shape: tuple[int, int, int], classes: int) -> "nn.Module":
    """Make a network with drawn weights.

    Parameters
    ----------
    name : str
        One of `NETWORKS`.
    input_shape : (height, width, channels)
    classes : int
        Outputs, at least 2.

    Raises
    ------
    DownshiftError
        If there is no such network, or it cannot be made for such images.
    """
    if name not in NETWORKS:
        raise DownshiftError(f"There is no network {name!r}; choose one of {', '.join(NETWORKS)}")
    module, kind = NETWORKS[name]
    return getattr(import_module(f"{__name__}.{module}"), kind)(input_shape, classes)
