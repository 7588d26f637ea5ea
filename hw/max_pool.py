"""Max pooling on activation codes."""

from itertools import pairwise

import numpy as np
from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["MaxPool", "max_pool"]


def max_pool(codes, *, size, stride):
    """Take the largest code of each window.

    Parameters
    ----------
    codes : uint8 array, shape (n, height, width, channels)
        Activation codes.
    size, stride : (int, int)
        Window and step, vertical and horizontal. Windows that would leave the map are dropped.

    Returns
    -------
    uint8 array, shape (n, pooled_height, pooled_width, channels)

    Examples
    --------
    >>> max_pool(np.array([[1, 9], [3, 4]], np.uint8)[None, :, :, None], size=(2, 2),
    ...          stride=(2, 2)).ravel().tolist()
    [9]
    """
    windows = sliding_window_view(np.asarray(codes), size, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]].max(axis=(-2, -1))


class MaxPool(wiring.Component):
    """Keep the largest code of each channel over the pixels of a window, which come in a row.

    The twin of `max_pool`, given the pixels window by window. No register of its own: the last
    pixel of a window passes through, beat by beat, so a window of one pixel costs nothing.

    Parameters
    ----------
    channels : int
        Channels of a beat.
    groups : int
        Beats of a pixel.
    pixels : int
        Most pixels of a window.

    Members
    -------
    last_pool : ``In(range(pixels))``
        Pixels of a window, less one.
    i, o : ``stream.Signature(ArrayLayout(8, channels))``
        Codes.
    """

    latency = 0

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, channels: int, groups: int, pixels: int):
        self.channels = channels
        self.groups = groups
        codes = data.ArrayLayout(8, channels)
        super().__init__(
            {
                "last_pool": In(range(pixels)),
                "i": In(stream.Signature(codes)),
                "o": Out(stream.Signature(codes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        taken = self.i.valid & self.i.ready

        # Position within the window.
        group = Signal(range(self.groups))
        pixel = Signal.like(self.last_pool)
        last = Signal()
        m.d.comb += last.eq(pixel == self.last_pool)
        with m.If(taken):
            m.d.sync += group.eq(group + 1)
            with m.If(group == self.groups - 1):
                m.d.sync += [group.eq(0), pixel.eq(Mux(last, 0, pixel + 1))]

        # The largest so far, one beat per group, the oldest first.
        best = [Signal.like(self.i.p, name=f"best_{k}") for k in range(self.groups)]
        with m.If(taken):
            m.d.sync += best[-1].eq(self.o.p)
            m.d.sync += [older.eq(newer) for older, newer in pairwise(best)]
        for k in range(self.channels):
            code, so_far = self.i.p[k], best[0][k]
            keep = (pixel != 0) & (so_far > code)
            m.d.comb += self.o.p[k].eq(Mux(keep, so_far, code))

        m.d.comb += [
            self.o.valid.eq(self.i.valid & last),
            self.i.ready.eq(~last | self.o.ready),
        ]
        return m
