"""The input fold: pixels that a first layer's stride takes together become channels of one."""

from dataclasses import dataclass, replace

import numpy as np

from downshift.hw.table import table_slots
from downshift.sw.graph.integer_graph import INPUT, IntegerGraph, Layer

__all__ = ["InputFold", "fold_input", "folded_graph"]


@dataclass(frozen=True, kw_only=True)
class InputFold:
    """Blocks of pixels that are one pixel of more channels, padding included.

    A layer with few channels leaves most lanes of an array idle. If its stride is the size of the
    blocks, a smaller kernel of stride 1 over the blocks computes the same.
    """

    shape: tuple[int, int, int]
    """(height, width, channels) before."""
    block: tuple[int, int]
    """Rows and columns."""
    before: tuple[int, int]
    """Rows above the first and columns left of it that blocks begin with: padding."""
    folded: tuple[int, int, int]
    """(height, width, channels) after."""

    def fold(self, codes: np.ndarray, *, zero_point: int) -> np.ndarray:
        """Fold one input.

        Parameters
        ----------
        codes : uint8 array, shape `shape`
        zero_point : int
            Code of zero, for what lies outside.

        Returns
        -------
        uint8 array, shape `folded`
        """
        (rows, columns, channels), (height, width) = self.shape, self.block
        size = self.folded[0] * height, self.folded[1] * width
        padded = np.full((*size, channels), zero_point, np.uint8)
        top, left = self.before
        inside = codes[: size[0] - top, : size[1] - left]
        padded[top : top + rows, left : left + columns] = inside
        blocks = padded.reshape(self.folded[0], height, self.folded[1], width, channels)
        return blocks.transpose(0, 2, 1, 3, 4).reshape(self.folded)

    def check(self, *, capacity: int) -> None:
        """Raise TypeError or ValueError unless the sizes fit together, and in `capacity` bytes."""
        groups = (self.shape, self.block, self.before, self.folded)
        if [len(group) for group in groups] != [3, 2, 2, 3]:
            raise ValueError("input fold must have shapes of three sizes and blocks of two")
        numbers = [number for group in groups for number in group]
        if any(type(number) is not int for number in numbers):
            raise TypeError("input fold must have integers only")
        sizes = (*self.shape, *self.block, *self.folded)
        if not 1 <= min(sizes) <= max(*sizes, *self.before) <= capacity or min(self.before) < 0:
            raise ValueError(f"input fold must have sizes in 1..{capacity}")
        ends = (count * size for count, size in zip(self.folded, self.block, strict=False))
        if any(first >= end for first, end in zip(self.before, ends, strict=True)):
            raise ValueError(f"input fold cannot begin with {self.before} pixels of padding")
        if self.folded[2] != self.shape[2] * self.block[0] * self.block[1]:
            raise ValueError(f"input fold cannot make {self.folded[2]} channels")


def fold_input(graph: IntegerGraph, *, segments: int) -> InputFold | None:
    """Find the blocks with which the first layer takes fewest vectors.

    Parameters
    ----------
    graph : IntegerGraph
    segments : int
        Words of a vector.

    Returns
    -------
    InputFold or None
        None if folding does not help, or something else takes the input too.
    """
    layer = graph.layers[0]
    takers = [each for each in graph.layers if INPUT in (graph.source_of(each), each.residual)]
    if takers != [layer] or layer.groups > 1 or layer.average:
        return None
    blocks = {(rows, columns) for rows in {1, layer.stride[0]} for columns in {1, layer.stride[1]}}
    best = min(sorted(blocks), key=lambda block: _vectors(layer, block, segments))
    if best == (1, 1):
        return None
    height, width, _ = layer.conv_shape(graph.input_shape)
    kernel = _kernel(layer, best)
    strides = [stride // size for stride, size in zip(layer.stride, best, strict=True)]
    return InputFold(
        shape=graph.input_shape,
        block=best,
        before=(layer.padding[0], layer.padding[2]),
        folded=(
            (height - 1) * strides[0] + kernel[0],
            (width - 1) * strides[1] + kernel[1],
            graph.input_shape[2] * best[0] * best[1],
        ),
    )


def folded_graph(graph: IntegerGraph, fold: InputFold) -> IntegerGraph:
    """Return the network that takes folded inputs and computes the same."""
    layer = graph.layers[0]
    out_channels, channels = layer.weight.shape[:2]
    (rows, columns), kernel = fold.block, _kernel(layer, fold.block)
    weight = np.zeros((out_channels, channels, kernel[0] * rows, kernel[1] * columns), np.int8)
    weight[:, :, : layer.kernel[0], : layer.kernel[1]] = layer.weight
    blocks = weight.reshape(out_channels, channels, kernel[0], rows, kernel[1], columns)
    first = replace(
        layer,
        weight=blocks.transpose(0, 3, 5, 1, 2, 4).reshape(out_channels, -1, *kernel),
        stride=(layer.stride[0] // rows, layer.stride[1] // columns),
        padding=(0, 0, 0, 0),
    )
    return replace(graph, input_shape=fold.folded, layers=(first, *graph.layers[1:]))


def _kernel(layer: Layer, block: tuple[int, int]) -> tuple[int, int]:
    """Blocks that a window spans."""
    return -(-layer.kernel[0] // block[0]), -(-layer.kernel[1] // block[1])


def _vectors(layer: Layer, block: tuple[int, int], segments: int) -> float:
    """Vectors for a pixel of the output, of codes of one byte."""
    channels = layer.in_channels * block[0] * block[1]
    group = next((group for group in (4, 8) if channels <= group), 16)
    rows, columns = _kernel(layer, block)
    words = rows * columns * -(-channels // group)
    return -(-words // segments) / table_slots(pack=0, channels=group)
