"""The bit serializer: vectors of activations, one bit of every code a cycle."""

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.table import TABLES

__all__ = ["BitSerializer", "bit_planes"]


def bit_planes(vectors, *, width, pack):
    """Take vectors apart: the golden function of `BitSerializer`.

    Parameters
    ----------
    vectors : uint8 array, shape (..., lanes)
        As of `table_vectors`.
    width, pack : int

    Returns
    -------
    uint8 array, shape (..., width, lanes)
        Bit k of a lane: the bit that LUT-RAM k takes, of the codes' highest bit, the next, …

    Examples
    --------
    >>> bit_planes([0b10_01_11_00], width=2, pack=2).tolist()
    [[10], [6]]
    """
    vectors = np.asarray(vectors, np.uint8)[..., None, :]
    bits = 8 >> pack
    shift = np.arange(width, dtype=np.uint8)[:, None]
    planes = np.zeros((*vectors.shape[:-2], width, vectors.shape[-1]), np.uint8)
    for table in range(TABLES):
        code = table * (1 << pack) // TABLES  # of those in a byte
        planes |= (vectors >> (bits * (code + 1) - 1 - shift) & 1) << table
    return planes


class BitSerializer(wiring.Component):
    """Hold words of a vector and shift their codes out, highest bit first.

    The first plane shows `latency` cycles after `load`, the others follow. Inputs and outputs have
    registers of their own, so that a word may be far from what fetches it, and from what takes it.

    Parameters
    ----------
    lanes : int
        Bytes in a word.

    Members
    -------
    pack : ``In(2)``
        log2 of the codes in a byte, 0…2.
    load : ``In(1)``
        Take a word.
    i : ``In(ArrayLayout(8, lanes))``
    o : ``Out(ArrayLayout(4, lanes))``
        A plane: by lane, the bit that each LUT-RAM takes.
    """

    latency = 3

    def __init__(self, *, lanes: int):
        self.lanes = lanes
        super().__init__(
            {
                "pack": In(2),
                "load": In(1),
                "i": In(data.ArrayLayout(8, lanes)),
                "o": Out(data.ArrayLayout(TABLES, lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        wide, narrow, load = (Signal(reset_less=True) for _ in range(3))
        word = Signal.like(self.i, reset_less=True)
        m.d.sync += [
            wide.eq(self.pack == 0),
            narrow.eq(self.pack == 2),
            load.eq(self.load),
            word.eq(self.i),
        ]
        for lane in range(self.lanes):
            held = Signal(8, name=f"held_{lane}", reset_less=True)
            m.d.sync += held.eq(Mux(load, word[lane], held.rotate_left(1)))

            # A code serves one, two or all of the LUT-RAMs.
            halves = Mux(wide, held[7], held[3])
            plane = Signal(TABLES, name=f"plane_{lane}", reset_less=True)
            m.d.comb += self.o[lane].eq(plane)
            m.d.sync += plane.eq(
                Cat(
                    Mux(narrow, held[1], halves),
                    halves,
                    Mux(narrow, held[5], held[7]),
                    held[7],
                )
            )
        return m
