"""The array of hard multipliers: products of 8 bits, pairs of 4, and 2 bits in look-up tables."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.utils import ceil_log2

from downshift.hw.code_tile import CodeTile
from downshift.hw.fabric import Dot, Fabric
from downshift.hw.factors import Factors
from downshift.hw.mac import array_signature, dot_width
from downshift.hw.small_dots import SmallDots
from downshift.hw.vector_steps import StepTags, VectorSteps

__all__ = ["DspArray"]

MOST_LANES = 32
"""Pairs of sums over more lanes want factors of more than 18 bits."""


class DspArray(wiring.Component):
    """Dot products of `rows` weight vectors with an activation vector, in hard multipliers.

    A vector takes a cycle for each code of a byte. With `pairs`, two codes share a cycle where they
    and the weights have at most 4 bits: their products are made at once in one multiplier, as those
    of `paired_product`. Four share it where weights and codes have 2 bits: those are multiplied in
    look-up tables. The next tile of weights is loaded behind the one in use, and taken over without
    a gap. A result stays offered until it is taken, and stalls the array meanwhile.
    `weight_width` and `pack` must be stable while data flows, and in the cycle before.

    Parameters
    ----------
    rows : int
        Output channels.
    lanes : int
        Activation bytes consumed at once; a power of two up to 32.
    pipelined : bool
        As of `SmallDots` and `BrickArray`.
    pairs : bool
        Multiply two codes of at most 4 bits at once, where multipliers have 18 bits.
    fabric : Fabric

    Members
    -------
    See `array_signature`; the golden function is `multiply_accumulate`.
    """

    i_weights: stream.Interface
    i_acts: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        rows: int,
        lanes: int,
        pipelined: bool = True,
        pairs: bool = True,
        fabric: Fabric | None = None,
    ):
        if not isinstance(rows, int) or rows < 1:
            raise ValueError(f"Rows must be a positive integer, not {rows!r}")
        if not isinstance(lanes, int) or lanes not in (2, 4, 8, 16, MOST_LANES):
            raise ValueError(f"Lanes must be 2, 4, 8, 16 or 32, not {lanes!r}")
        self.rows = rows
        self.lanes = lanes
        self.pipelined = pipelined
        self.pairs = pairs
        self.fabric = fabric or Fabric()
        super().__init__(dict(array_signature(rows=rows, lanes=lanes).members))

    @staticmethod
    def together(*, weight_width: int, pack: int) -> bool:
        """Whether the codes of a byte are multiplied all at once."""
        return weight_width <= 2 and pack == 2

    @classmethod
    def steps_of(cls, *, weight_width: int, pack: int, pairs: bool) -> int:
        """Cycles that a vector takes."""
        if cls.together(weight_width=weight_width, pack=pack):
            return 1
        return 1 << (pack - 1 if pairs and pack and weight_width <= 4 else pack)

    @staticmethod
    def latency_of(*, lanes: int, pipelined: bool, together: bool) -> int:
        """Cycles from taking a vector, with its last code, to offering its result."""
        small = SmallDots.latency_of(lanes=lanes, pipelined=pipelined) if together else 1
        return small + Dot.latency_of(lanes)

    def elaborate(self, platform):
        m = Module()
        enable = Signal()
        idle = 0 if self.pipelined else ~self.o.valid
        m.d.comb += enable.eq(idle | self.o.ready)

        # Steps go through the codes of a byte, one, two or all at once, highest first.
        vector = self.i_acts.p
        top_bit, last_code, top_step = Signal(3), Signal(2), Signal(2)
        together, paired = Signal(), Signal()
        latencies = [
            self.latency_of(lanes=self.lanes, pipelined=self.pipelined, together=mode)
            for mode in (False, True)
        ]
        m.submodules.tile = tile = CodeTile(rows=self.rows, lanes=self.lanes, pairs=self.pairs)
        m.submodules.steps = steps = VectorSteps(stages=latencies[1] - 1)
        m.d.comb += top_bit.eq(self.weight_width - 1)  # of a `switch_code`: three bits are enough
        small_weights, small_codes = top_bit < 2, self.pack == 2
        last = Cat(self.pack != 0, self.pack[1])
        pair = self.pairs & (top_bit < 4) & (self.pack != 0) & ~(small_weights & small_codes)
        m.d.sync += [
            together.eq(small_weights & small_codes),
            paired.eq(pair),
            last_code.eq(last),
            top_step.eq(Mux(small_weights & small_codes, 0, Mux(pair, last[1], last))),
        ]
        m.d.comb += [
            steps.enable.eq(enable),
            steps.top_step.eq(top_step),
            steps.valid.eq(self.i_acts.valid),
            steps.tags.eq(vector.tags),
            steps.full.eq(tile.full),
            self.i_acts.ready.eq(steps.ready),
            self.use.eq(steps.use),
            tile.last_code.eq(last_code),
            tile.paired.eq(paired),
            tile.together.eq(together),
            tile.swap.eq(steps.swap),
            tile.step.eq(steps.next_step),
        ]
        wiring.connect(m, wiring.flipped(self.i_weights), tile.i)

        # Small products; nothing of them where others are made.
        m.submodules.small = small = SmallDots(
            rows=self.rows, lanes=self.lanes, pipelined=self.pipelined
        )
        m.d.comb += [
            small.enable.eq(enable),
            small.codes.eq(Mux(together, vector.lanes.as_value(), 0)),
        ]
        for lane, words in enumerate(tile.o):
            m.d.comb += [small.weights[lane][row].eq(word) for row, word in enumerate(words)]

        # Products over the lanes. The small sums join those of lane 0; a pair's rounds it to
        # what stands from `spacing` on.
        levels = ceil_log2(self.lanes)
        spacing = 8 + levels if self.pairs else 0
        m.submodules.factors = factors = Factors(rows=self.rows, lanes=self.lanes, spacing=spacing)
        m.d.comb += [
            factors.pack.eq(self.pack),
            factors.paired.eq(paired),
            factors.together.eq(together),
            factors.next_step.eq(steps.next_step),
            factors.bytes.eq(vector.lanes),
            factors.words.eq(tile.o),
        ]
        half = paired << (spacing - 1) if self.pairs else 0
        width = spacing + 9 if self.pairs else 16
        dots = [
            Signal(signed(width + levels), name=f"dot_{row}", reset_less=True)
            for row in range(self.rows)
        ]
        self.fabric.add_dots(
            m,
            "dots",
            [
                Dot(
                    o=dots[row],
                    terms=[
                        (factors.weights[lane][row], factors.codes[lane])
                        for lane in range(self.lanes)
                    ],
                    width=width,
                    c=small.o[row] | half,
                )
                for row in range(self.rows)
            ],
            enable=enable,
        )

        # Sums over the codes, as soon as they are there.
        coming, there = Signal(StepTags), Signal(StepTags)
        m.d.comb += coming.eq(
            Mux(together, *(steps.stages[k - 2].as_value() for k in reversed(latencies)))
        )
        with m.If(enable):
            m.d.sync += there.eq(coming)
        m.d.comb += [
            self.o.valid.eq(there.valid & there.last),
            self.o.p.tags.eq(there.vector),
        ]
        for row, found in enumerate(dots):
            dot = Mux(paired, found >> spacing, found)
            total = Signal(signed(dot_width(self.lanes)), name=f"total_{row}")
            with m.If(enable):
                m.d.sync += total.eq(Mux(coming.first, dot, total + dot))
            m.d.comb += self.o.p.sums[row].eq(total)
        return m
