"""The descriptor of a pass of the convolution core."""

from amaranth.lib import data

from downshift.hw.fetch_layer import FetchLayer
from downshift.hw.lanes_layer import LanesLayer
from downshift.hw.parameter_loader import ParameterLayer
from downshift.hw.residual import ResidualLayer
from downshift.hw.tile_loader import LoaderLayer
from downshift.hw.writer_layer import WriterLayer

__all__ = ["ConvLayer"]


class ArrayLayer(data.Struct):
    """What array and sums are told about a pass."""

    pack: 2  # log2 of the codes in a byte of the input
    act_width: 4
    cycles: 6  # from one vector to the next
    slots: 2  # log2
    keep: 1  # all pixels are added up
    out_max: 8


class ConvLayer(data.Struct):
    """One pass over one layer."""

    last: 1  # no pass follows
    pool: 1  # windows are pooled: only `fetch` and part of `writer` count
    separate: 1  # lanes multiply, instead of the array
    fetch: FetchLayer
    loader: LoaderLayer
    array: ArrayLayer
    lanes: LanesLayer
    parameters: ParameterLayer
    residual: ResidualLayer
    writer: WriterLayer
