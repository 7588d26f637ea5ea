# amaranth: UnusedElaboratable=no
import pytest
from amaranth.sim import Simulator

from downshift.hw.descriptor import LayerDescriptor
from downshift.hw.pass_queue import PassQueue

READ = 5
"""Cycles in which the sequencer here reads a descriptor."""


def run_passes(lengths):
    """Let passes of some cycles run; starts with the descriptor in force, and the frame's end."""
    dut = PassQueue(layer=LayerDescriptor)
    starts, ends = [], []

    async def bench(ctx):
        index, shown, read, left = 0, 0, READ, 0
        for cycle in range(200):
            ctx.set(dut.coming.weight_base, shown)
            ctx.set(dut.coming.last, shown + 1 == len(lengths))
            shown = index  # a cycle after `over`
            ctx.set(dut.come, read == 0)
            if ctx.get(dut.start):
                left = lengths[ctx.get(dut.layer.weight_base)]
                starts.append((cycle, ctx.get(dut.layer.weight_base)))
            left -= 1
            ctx.set(dut.done, left == 0)
            read -= 1
            if ctx.get(dut.over):
                if index + 1 == len(lengths):
                    ends.append(cycle)
                else:
                    index, read = index + 1, READ
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return starts, ends


@pytest.mark.parametrize("lengths", [[9], [9, 30, 9, 2, 2, 20], [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]])
def test_passes_run_in_order_as_soon_as_they_can(lengths):
    starts, ends = run_passes(lengths)
    assert [layer for _, layer in starts] == list(range(len(lengths)))
    times = [time for time, _ in starts]
    for index in range(1, len(lengths)):
        known = times[index - 1] - PassQueue.latency + READ + 2 + PassQueue.release
        done = times[index - 1] + lengths[index - 1] - 1
        assert times[index] == max(known, done) + PassQueue.latency, index
    assert ends == [times[-1] + lengths[-1] - 1 + PassQueue.release]
