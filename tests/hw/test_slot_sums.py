# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.partial_sums import partial_sums
from downshift.hw.slot_sums import SlotSums, slot_sums

ROWS, SUM_WIDTH, ACC_WIDTH, DEPTH = 3, 10, 18, 32


def run(sums, bias, *, slots, keep=False, lanes=None, cycles=4):
    """Accumulators and tags, cycle by cycle, of quarter sums (tiles, vectors, rows, 4)."""
    dut = SlotSums(rows=ROWS, sum_width=SUM_WIDTH, acc_width=ACC_WIDTH, depth=DEPTH)
    tiles, vectors = sums.shape[:2]
    seen = {}

    async def feed(ctx):
        ctx.set(dut.slots, slots.bit_length() - 1)
        ctx.set(dut.keep, keep)
        ctx.set(dut.alone, lanes is not None)
        ctx.set(dut.bias, bias.tolist())
        await ctx.tick()
        order = list(np.ndindex(tiles, vectors))
        for clock in range(len(order) * cycles + SlotSums.lead):
            turn, within = divmod(clock, cycles)
            if coming := within == 0 and turn < len(order):
                t, v = order[turn]
                first = t == 0 and (v == 0 or not keep)
                last = t == tiles - 1 and (v == vectors - 1 or not keep)
                ctx.set(dut.next.p, {"first": first, "last": last, "end": v == vectors - 1})
            ctx.set(dut.next.valid, coming)
            turn, within = divmod(clock - SlotSums.lead, cycles)
            if turn >= 0 and within == 0:
                t, v = order[turn]
                ctx.set(dut.sums, sums[t, v].tolist())
                if lanes is not None:
                    ctx.set(dut.lanes, lanes[v].tolist())
            await ctx.tick()
        await ctx.tick().repeat(10)

    async def watch(ctx):
        for clock in range(tiles * vectors * cycles + SlotSums.lead + 10):
            accs = list(ctx.get(dut.o.p.accs))
            if ctx.get(dut.o.valid):
                seen[clock] = (accs, ctx.get(dut.o.p.tags).end)
            elif tiles == 1 and seen:
                assert accs == seen[max(seen)][0], "accumulators do not stay in force"
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    return seen


def draw(tiles, vectors):
    rng = np.random.default_rng(vectors)
    sums = rng.integers(0, 1 << SUM_WIDTH, (tiles, vectors, ROWS, 4))
    sums[0, 0] = (1 << SUM_WIDTH) - 1
    return sums, rng.integers(-(1 << 15), 1 << 15, ROWS)


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize(("tiles", "vectors"), [(1, 1), (1, 8), (2, 1), (3, 7)])
def test_equals_golden(slots, tiles, vectors):
    sums, bias = draw(tiles, vectors)
    seen = run(sums, bias, slots=slots)
    expected = partial_sums(slot_sums(sums, slots=slots)).reshape(-1, ROWS) + bias
    assert np.array_equal([accs for accs, _ in seen.values()], expected)
    assert [end for _, end in seen.values()] == [0] * (vectors * slots - 1) + [1]


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_keeps_one_pixel(slots):
    sums, bias = draw(2, 5)
    seen = run(sums, bias, slots=slots, keep=True)
    expected = slot_sums(sums, slots=slots).sum(axis=(0, 1)) + bias
    assert np.array_equal([accs for accs, _ in seen.values()], expected)


@pytest.mark.parametrize("slots", [1, 2])
def test_lanes_alone(slots):
    sums, bias = draw(1, 5)
    lanes = np.random.default_rng(0).integers(0, 1 << SUM_WIDTH + 2, (5, ROWS))
    lanes[0] = (1 << SUM_WIDTH + 2) - 1
    seen = run(sums, bias, slots=slots, lanes=lanes)
    second = np.roll(lanes, -(ROWS // 2), axis=1)
    expected = np.stack([lanes, second], axis=1)[:, :slots].reshape(-1, ROWS) + bias
    assert np.array_equal([accs for accs, _ in seen.values()], expected)


def test_latency():
    sums, bias = draw(1, 2)
    start = 1 + SlotSums.lead + SlotSums.latency
    assert list(run(sums, bias, slots=2, cycles=5)) == [start, start + 1, start + 5, start + 6]
