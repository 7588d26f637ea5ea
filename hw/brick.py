"""The brick array: dot products at any pair of widths from 2-bit by 2-bit products."""

from itertools import pairwise

import numpy as np
from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from downshift.hw.digit_tree import DIGITS, DigitTree, tree_latency
from downshift.hw.mac import VectorTags, array_signature, dot_width

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
    """One output channel of a `BrickArray`: held weights, bricks, tree, digit accumulator.

    Weights are held offset by half their range, so that every brick and tree is unsigned; the
    offset times the sum of the activations is taken off with the first digit.

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
    code : ``In(8)``
        Weight to load, offset-binary.
    load : ``In(4 * lanes)``
        Which lane and digit positions take `code` into the shadow.
    swap : ``In(1)``
        Move the shadow weights to the active ones.
    digit : ``In(2)``
        Digit of the weights in use.
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
                "code": In(8),
                "load": In(DIGITS * lanes),
                "swap": In(1),
                "digit": In(2),
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

        for lane in range(self.lanes):
            for position in range(DIGITS):
                # Weights: loaded into the shadow while the active ones work.
                shadow = Signal(8, name=f"shadow_{lane}_{position}")
                active = Signal(8, name=f"active_{lane}_{position}")
                with m.If(self.load[lane * DIGITS + position]):
                    m.d.sync += shadow.eq(self.code)
                with m.If(self.swap):
                    m.d.sync += active.eq(shadow)

                # Brick: one digit of the weight by one digit of the activation.
                product = Signal(4, name=f"product_{lane}_{position}")
                weight_digit = active.word_select(self.digit, 2)
                act_digit = self.acts[lane].word_select(position, 2)
                with m.If(self.enable):
                    m.d.sync += product.eq(brick_product(weight_digit, act_digit))
                m.d.comb += tree.i[lane][position].eq(product)

        # Digits arrive highest first.
        carried = Signal.like(self.o)
        m.d.comb += carried.eq(Mux(self.first, self.offset, self.o << 2))
        with m.If(self.enable):
            m.d.sync += self.o.eq(carried + tree.o)

        return m


class TileLoad(wiring.Component):
    """Count the words of a tile into its places.

    Parameters
    ----------
    lanes : int
        Activation bytes consumed at once.

    Members
    -------
    pack : ``In(2)``
        log2 of the codes in a byte.
    valid, ready : ``In(1)``, ``Out(1)``
        Handshake of the words.
    load : ``Out(4 * lanes)``
        Lane and digit positions that the word belongs to; 0 while none is taken.
    full : ``Out(1)``
        A whole tile waits.
    swap : ``In(1)``
        The waiting tile is taken over; the next word may arrive in the same cycle.
    """

    def __init__(self, *, lanes: int):
        self.lanes = lanes
        super().__init__(
            {
                "pack": In(2),
                "valid": In(1),
                "ready": Out(1),
                "load": Out(DIGITS * lanes),
                "full": Out(1),
                "swap": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lane = Signal(range(self.lanes))
        slot = Signal(2)  # code within the byte
        taken = Signal()
        m.d.comb += [
            self.ready.eq(~self.full | self.swap),
            taken.eq(self.valid & self.ready),
        ]

        with m.If(self.swap):
            m.d.sync += self.full.eq(0)
        with m.If(taken):
            m.d.sync += slot.eq(slot + 1)
            with m.If(slot == (1 << self.pack) - 1):
                m.d.sync += [slot.eq(0), lane.eq(lane + 1)]
                with m.If(lane == self.lanes - 1):
                    m.d.sync += [lane.eq(0), self.full.eq(1)]

        # A code of the byte covers all, two or one of the digit positions.
        with m.Switch(self.pack):
            for pack in range(3):
                with m.Case(pack):
                    for index in range(DIGITS * self.lanes):
                        here = (lane == index // DIGITS) & (slot == index % DIGITS >> 2 - pack)
                        m.d.comb += self.load[index].eq(taken & here)

        return m


class BrickArray(wiring.Component):
    """Dot products of `rows` weight vectors with an activation vector, in bricks.

    A vector of `lanes` bytes takes ``ceil(weight_width / 2)`` cycles, so throughput follows the
    width of the weights in steps of 2 bits, and that of the activations in steps of a packed code.
    The next tile of weights is loaded behind the one in use, one word a cycle, and taken over
    without a gap. A result stays offered until it is taken, and stalls the array meanwhile.
    `weight_width` and `pack` must be stable while data flows.

    Parameters
    ----------
    rows : int
        Output channels.
    lanes : int
        Activation bytes consumed at once; a power of two.

    Members
    -------
    See `array_signature`; the golden function is `multiply_accumulate`.
    """

    i_weights: stream.Interface
    i_acts: stream.Interface
    o: stream.Interface

    def __init__(self, *, rows: int, lanes: int):
        if not isinstance(rows, int) or rows < 1:
            raise ValueError(f"Rows must be a positive integer, not {rows!r}")
        if not isinstance(lanes, int) or lanes < 1 or lanes & (lanes - 1):
            raise ValueError(f"Lanes must be a power of two, not {lanes!r}")
        self.rows = rows
        self.lanes = lanes
        super().__init__(dict(array_signature(rows=rows, lanes=lanes).members))

    @property
    def latency(self) -> int:
        """Cycles from taking a vector to offering its result, for weights of one digit."""
        return 1 + 1 + tree_latency(self.lanes) + 1

    def elaborate(self, platform):
        m = Module()
        enable = Signal()
        m.d.comb += enable.eq(~self.o.valid | self.o.ready)

        # Vector in use: it meets every digit of the weights, highest first.
        vector = Signal.like(self.i_acts.p)
        valid = Signal()
        digit = Signal(2)
        top_digit = Signal(2)
        free = Signal()
        accept = Signal()
        m.d.comb += [
            top_digit.eq((self.weight_width - 1) >> 1),
            free.eq(~valid | (enable & (digit == 0))),
            accept.eq(self.i_acts.valid & self.i_acts.ready),
        ]
        with m.If(accept):
            m.d.sync += [vector.eq(self.i_acts.p), valid.eq(1), digit.eq(top_digit)]
        with m.Elif(free):
            m.d.sync += valid.eq(0)
        with m.Elif(enable):
            m.d.sync += digit.eq(digit - 1)

        # Weights of the next tile, taken over with the first vector after an `end`.
        m.submodules.tile = tile = TileLoad(lanes=self.lanes)
        held = Signal()
        m.d.comb += [
            self.i_acts.ready.eq(free & (held | tile.full)),
            tile.swap.eq(accept & ~held),
            tile.pack.eq(self.pack),
            tile.valid.eq(self.i_weights.valid),
            self.i_weights.ready.eq(tile.ready),
        ]
        with m.If(accept):
            m.d.sync += held.eq(~self.i_acts.p.tags.end)

        # The sum of the activations, in step with the rows: what the weights' offset multiplies.
        m.submodules.total = total = DigitTree(lanes=self.lanes, width=2)
        m.d.comb += [total.enable.eq(enable), total.pack.eq(self.pack)]
        acts = Signal.like(vector.lanes)
        m.d.comb += Value.cast(total.i).eq(Value.cast(acts))

        # Tags travel beside the trees.
        stages = [Signal(_Stage, name=f"stage_{k}") for k in range(total.latency + 2)]
        with m.If(enable):
            m.d.sync += [
                acts.eq(vector.lanes),
                stages[0].valid.eq(valid),
                stages[0].first.eq(digit == top_digit),
                stages[0].last.eq(digit == 0),
                stages[0].tags.eq(vector.tags),
            ]
            m.d.sync += [later.eq(stage) for stage, later in pairwise(stages)]
        m.d.comb += [
            self.o.valid.eq(stages[-1].valid & stages[-1].last),
            self.o.p.tags.eq(stages[-1].tags),
        ]

        for index in range(self.rows):
            m.submodules[f"row_{index}"] = row = BrickRow(lanes=self.lanes)
            m.d.comb += [
                row.enable.eq(enable),
                row.pack.eq(self.pack),
                row.code.eq(self.i_weights.p[index] ^ (2 << (top_digit << 1))),
                row.load.eq(tile.load),
                row.swap.eq(tile.swap),
                row.digit.eq(digit),
                row.acts.eq(vector.lanes),
                row.first.eq(stages[-2].first),
                row.offset.eq(-(total.o << 1)),
                self.o.p.sums[index].eq(row.o),
            ]

        return m


class _Stage(data.Struct):
    """What accompanies one digit of a vector through the trees."""

    valid: 1
    first: 1
    last: 1
    tags: VectorTags
