"""What a tensor of an ONNX graph is, while the graph is translated: a constant, or a map."""

from dataclasses import dataclass, replace

import numpy as np

from downshift.sw.graph.integer_setting import Codes
from downshift.sw.importing.axes import Axes
from downshift.sw.importing.real_layer import RealLayer

__all__ = ["ConstantValue", "EndValue", "MapValue", "Refused", "StoredConstant", "Value"]


class Refused(Exception):
    """A node cannot be translated; why, and what works, in one sentence."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredConstant:
    """A constant as integers: ``scale * codes``."""

    codes: np.ndarray
    """int64, the shape of the constant."""
    scale: np.ndarray
    """float64, of as many dimensions; positive."""
    width: int
    """Bits of the codes, signed; of 1 bit they are -1 and 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ConstantValue:
    """Numbers that the file holds."""

    array: np.ndarray
    stored: StoredConstant | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class MapValue:
    """The output of a layer, or the input of the network."""

    layer: RealLayer | None
    """None for the input."""
    axes: Axes
    exclusive: bool
    """Nothing else takes what the layer gives, so that it may still change."""
    params: Codes | None = None
    """What the file quantized it to; its integers are `offset` less than codes."""
    integer: bool = False
    """It stands for its codes, until it is dequantized."""
    offset: int = 0
    """128 if the file's integers are signed 8-bit ones."""
    mean: bool = False
    """It is the mean of all pixels of the map."""
    factor: np.ndarray | None = None
    """What it is multiplied by, float64 (channels,) or (1,), in whatever takes it."""
    rounded: bool = False
    """It is rounded to whole numbers, which a quantizer of scale 1 has to follow."""
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Zeros around it, that a convolution has to add."""

    def turned(self, axes: Axes) -> "MapValue":
        """The same map with other axes."""
        return replace(self, axes=axes)


@dataclass(frozen=True, kw_only=True, eq=False)
class EndValue:
    """What the network gives is known, and only its presentation follows."""

    value: MapValue


Value = ConstantValue | MapValue | EndValue
