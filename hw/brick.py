"""The brick array: dot products at any pair of widths from 2-bit by 2-bit products."""

import numpy as np
from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.digit_tree import DIGITS, DigitTree, tree_latency
from downshift.hw.mac import array_signature, dot_width
from downshift.hw.tile import tile_kind
from downshift.hw.vector_steps import VectorSteps

__all__ = ["BrickArray", "brick"]


def brick(a, b):
    """Multiply two 2-bit numbers: the golden function of one brick.

    Parameters
    ----------
    a, b : uint8 arrays
        0…3.

    Returns
    -------
    uint8 array
        0…9.

    Examples
    --------
    >>> brick(3, 2).item()
    6
    """
    return np.asarray(a, np.uint8) * np.asarray(b, np.uint8)


def brick_product(a, b):
    """`brick` in four LUTs: each bit of the product as a function of the four input bits."""
    return Cat(
        a[0] & b[0],
        (a[1] & b[0]) ^ (a[0] & b[1]),
        a[1] & b[1] & ~(a[0] & b[0]),
        a.all() & b.all(),
    )


class BrickRow(wiring.Component):
    """One output channel of a `BrickArray`: bricks, tree, digit accumulator.

    Weights come offset by half their range, so that every brick and tree is unsigned; the offset
    times the sum of the activations is taken off with the first digit.

    Parameters
    ----------
    lanes : int
        Activation bytes consumed at once.

    Members
    -------
    enable : ``In(1)``
        Advance the pipeline.
    pack : ``In(2)``
        log2 of the codes in a byte.
    weights : ``In(ArrayLayout(ArrayLayout(2, 4), lanes))``
        Digit of the weights in use, by lane and digit of the activation that it meets.
    acts : ``In(ArrayLayout(8, lanes))``
        Activations in use.
    first : ``In(1)``
        The value leaving the tree belongs to the first digit of a vector.
    offset : ``In(signed(...))``
        What the offset of the weights adds to the first digit.
    o : ``Out(signed(dot_width(lanes)))``
        Dot product, once the last digit has entered.
    """

    def __init__(self, *, lanes: int):
        self.lanes = lanes
        self._tree = DigitTree(lanes=lanes, width=4)
        super().__init__(
            {
                "enable": In(1),
                "pack": In(2),
                "weights": In(data.ArrayLayout(data.ArrayLayout(2, DIGITS), lanes)),
                "acts": In(data.ArrayLayout(8, lanes)),
                "first": In(1),
                "offset": In(signed(len(self._tree.o) + 1)),
                "o": Out(signed(dot_width(lanes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.tree = tree = self._tree
        m.d.comb += [tree.enable.eq(self.enable), tree.pack.eq(self.pack)]

        # Bricks: one digit of the weight by one digit of the activation.
        for lane in range(self.lanes):
            for position in range(DIGITS):
                product = Signal(4, name=f"product_{lane}_{position}")
                act_digit = self.acts[lane].word_select(position, 2)
                with m.If(self.enable):
                    m.d.sync += product.eq(brick_product(self.weights[lane][position], act_digit))
                m.d.comb += tree.i[lane][position].eq(product)

        # Digits arrive highest first.
        carried = Signal.like(self.o)
        m.d.comb += carried.eq(Mux(self.first, self.offset, self.o << 2))
        with m.If(self.enable):
            m.d.sync += self.o.eq(carried + tree.o)

        return m


class BrickArray(wiring.Component):
    """Dot products of `rows` weight vectors with an activation vector, in bricks.

    A vector of `lanes` bytes takes ``ceil(weight_width / 2)`` cycles, so throughput follows the
    width of the weights in steps of 2 bits, and that of the activations in steps of a packed code.
    The vector is taken with its last digit.
    The next tile of weights is loaded behind the one in use, and taken over
    without a gap. A result stays offered until it is taken, and stalls the array meanwhile.
    `weight_width` and `pack` must be stable while data flows.

    Parameters
    ----------
    rows : int
        Output channels.
    lanes : int
        Activation bytes consumed at once; a power of two.
    tile_memory : bool
        Hold the weights in a `MemoryTile` instead of a `RegisterTile`.
    pipelined : bool
        Stall whenever `o` is not ready, whether there is a result or not: a short path where
        ready is a register. It must not wait for a result then.

    Members
    -------
    See `array_signature`; the golden function is `multiply_accumulate`.
    """

    i_weights: stream.Interface
    i_acts: stream.Interface
    o: stream.Interface

    def __init__(self, *, rows: int, lanes: int, tile_memory: bool = False, pipelined: bool = True):
        if not isinstance(rows, int) or rows < 1:
            raise ValueError(f"Rows must be a positive integer, not {rows!r}")
        if not isinstance(lanes, int) or lanes < 1 or lanes & (lanes - 1):
            raise ValueError(f"Lanes must be a power of two, not {lanes!r}")
        self.rows = rows
        self.lanes = lanes
        self.pipelined = pipelined
        self.latency = self.latency_of(lanes=lanes)
        self._tile = tile_kind(in_memory=tile_memory)(rows=rows, lanes=lanes)
        super().__init__(dict(array_signature(rows=rows, lanes=lanes).members))

    @staticmethod
    def latency_of(*, lanes: int) -> int:
        """Cycles from taking a vector, with its last digit, to offering its result."""
        return 1 + tree_latency(lanes) + 1

    def elaborate(self, platform):
        m = Module()
        enable = Signal()
        idle = 0 if self.pipelined else ~self.o.valid
        m.d.comb += enable.eq(idle | self.o.ready)

        # A vector is offered until it has met every digit of the weights, highest first.
        vector = self.i_acts.p
        top_digit = Signal(2)
        m.submodules.tile = tile = self._tile
        m.submodules.steps = steps = VectorSteps(stages=self.latency)
        m.d.comb += [
            top_digit.eq((self.weight_width - 1) >> 1),  # of a `switch_code`: two bits are enough
            steps.enable.eq(enable),
            steps.top_step.eq(top_digit),
            steps.valid.eq(self.i_acts.valid),
            steps.tags.eq(vector.tags),
            steps.full.eq(tile.full),
            self.i_acts.ready.eq(steps.ready),
            self.use.eq(steps.use),
            tile.swap.eq(steps.swap),
            tile.pack.eq(self.pack),
            tile.top_digit.eq(top_digit),
            tile.digit.eq(steps.next_step),
        ]
        wiring.connect(m, wiring.flipped(self.i_weights), tile.i)

        # The sum of the activations, in step with the rows: what the weights' offset multiplies.
        m.submodules.total = total = DigitTree(lanes=self.lanes, width=2)
        acts = Signal.like(vector.lanes)
        m.d.comb += [
            total.enable.eq(enable),
            total.pack.eq(self.pack),
            Value.cast(total.i).eq(Value.cast(acts)),
        ]

        with m.If(enable):
            m.d.sync += acts.eq(vector.lanes)
        last = steps.stages[self.latency - 1]
        m.d.comb += [
            self.o.valid.eq(last.valid & last.last),
            self.o.p.tags.eq(last.vector),
        ]

        for index in range(self.rows):
            m.submodules[f"row_{index}"] = row = BrickRow(lanes=self.lanes)
            m.d.comb += [
                row.enable.eq(enable),
                row.pack.eq(self.pack),
                row.weights.eq(tile.o[index]),
                row.acts.eq(vector.lanes),
                row.first.eq(steps.stages[self.latency - 2].first),
                row.offset.eq(-(total.o << 1)),
                self.o.p.sums[index].eq(row.o),
            ]

        return m
