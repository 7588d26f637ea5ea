"""The layer as the lanes see it: `LanesLayer`."""

from amaranth.lib import data

__all__ = ["MOST_ROWS", "LanesLayer"]

MOST_ROWS = 8
"""Rows of the largest kernel; its columns are three."""


class LanesLayer(data.Struct):
    """What the lanes are told about a pass; counts are stored less one."""

    dense: 1  # outputs take all codes: no field below counts
    last_row: 3  # of the kernel
    last_column: 9  # of the words that a row of outputs needs
    stride: 4  # columns from one output to the next, less one
    cycles: 4  # least from one output to the next
