"""The layer descriptor: everything the engine is told about one pass over one layer."""

from collections.abc import Mapping

from amaranth import signed
from amaranth.hdl import Shape
from amaranth.lib import data

__all__ = [
    "DESCRIPTOR_WORDS",
    "PROFILES",
    "LayerDescriptor",
    "descriptor_fields",
    "descriptor_words",
    "layer_words",
]

PROFILES = 16
"""Entries of the table that opens a program: word w is where the program for width w starts."""


class LayerDescriptor(data.Struct):
    """One pass: a layer, or a band of its rows when partial sums of all pixels do not fit.

    Counts are stored less one (``last_…`` is the last index of a loop). Addresses and steps into
    activation memory are in bytes. No field crosses a 32-bit word of program memory.
    """

    # Word 0
    last: 1  # no descriptor follows
    logits: 1  # outputs are int32 sums, not codes
    weight_width: 4  # `switch_code`
    in_pack: 2  # log2 of the input codes in a byte
    out_pack: 2  # log2 of the output codes in a byte
    pad: 8  # byte that stands outside the map: the zero point in every place
    zero_point: 8  # of the output
    grouped: 1  # each row multiplies the codes of its own channel; the rest with `all_layers` only
    repeat: 1  # all pixels of the input meet the same weights
    keep: 1  # the sums are not complete yet: the next pass goes on with them
    resume: 1  # sums begin where the pass before has left them
    residual: 1  # dot products are codes of the map that is added
    reserved_0: 1
    # Word 1
    out_max: 8  # largest output code
    last_pool: 16  # pixels of a pooling window
    residual_shift: 3  # of the sums that a residual is added to
    first_row: 5  # row, in fours, that multiplies the first code of a group
    # Word 2: output pixels, after pooling
    last_column: 16
    last_row: 16
    # Word 3
    last_pool_column: 8
    last_pool_row: 8
    last_kernel_row: 8
    kernel_columns: 8
    # Word 4
    last_tile: 16  # tiles of `rows` output channels
    last_chunk: 16  # chunks of `lanes` bytes in one kernel row
    # Word 5
    channels: 16  # of the input
    last_slot: 16  # places for codes in one input pixel, used or not
    # Word 6
    last_pixel: 32  # output pixels, after pooling
    # Word 7
    weight_base: 32  # word of the weight store
    # Word 8
    parameter_base: 16  # word of the parameter store
    column_bytes: 16  # from one kernel column to the next, if `grouped`: they are the chunks
    # Words 9…: input map
    in_base: 32
    row_start: signed(32)  # first row of the first window, times `row_bytes`
    column_start: signed(32)  # first column of the first window, in bytes
    row_bytes: 32
    map_bytes: 32
    step_x: 32  # to the next column, in bytes
    step_y: 32  # to the next row
    step_column: 32  # to the next pooled column
    step_row: 32  # to the next pooled row
    # Output map
    out_base: 32
    out_pixel_bytes: 32


def layer_words(layer):
    """32-bit words of a descriptor, from its struct."""
    return -(-Shape.cast(layer).width // 32)


DESCRIPTOR_WORDS = layer_words(LayerDescriptor)


def descriptor_words(fields, layer=LayerDescriptor):
    """Encode a descriptor as words of program memory.

    Parameters
    ----------
    fields : mapping of str to int or mapping
        Values by field name; fields not named are 0.
    layer : type
        Struct of the descriptor.

    Returns
    -------
    list of int
        `layer_words` words of 32 bits.

    Raises
    ------
    ValueError
        If a value does not fit its field.
    """
    bits = _encode(fields, layer, "")
    return [bits >> 32 * k & 0xFFFFFFFF for k in range(layer_words(layer))]


def descriptor_fields(words, layer=LayerDescriptor):
    """Decode a descriptor: the inverse of `descriptor_words`, with every field named."""
    return _decode(sum(word << 32 * k for k, word in enumerate(words)), layer)


def _encode(fields, struct, path):
    bits, layout = 0, struct.as_shape()
    for name, value in fields.items():
        field = layout[name]
        if isinstance(value, Mapping):
            bits |= _encode(value, field.shape, f"{path}{name}.") << field.offset
            continue
        shape = Shape.cast(field.shape)
        low = -(1 << shape.width - 1) if shape.signed else 0
        high = 1 << shape.width - shape.signed
        if not low <= value < high:
            raise ValueError(f"Field {path}{name} must be in {low}..{high - 1}, not {value!r}")
        bits |= (int(value) & (1 << shape.width) - 1) << field.offset
    return bits


def _decode(bits, struct):
    fields = {}
    for name, field in struct.as_shape():
        shape = Shape.cast(field.shape)
        value = bits >> field.offset & (1 << shape.width) - 1
        if isinstance(field.shape, type) and issubclass(field.shape, data.Struct):
            fields[name] = _decode(value, field.shape)
        else:
            negative = shape.signed and value >> shape.width - 1
            fields[name] = value - (1 << shape.width) if negative else value
    return fields
