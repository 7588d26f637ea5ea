# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.map_layout import MapLayout
from downshift.hw.word_writer import WordWriter, writer_fields

DEPTH, BASE = 256, 5


def write(codes, layout, *, slots, strip, zero_point):
    """Memory after a map was written by a convolution of `slots` strips of `strip` rows."""
    dut = WordWriter(depth=DEPTH)
    fields = writer_fields(layout, slots=slots, strip=strip, zero_point=zero_point, base=BASE)
    rng = np.random.default_rng(1)
    memory = rng.integers(0, 256, (DEPTH, 4, 4))
    rows, channels = slots * strip, -(-layout.channels // 16) * 16
    places = rng.integers(0, 1 << layout.code_width, (rows, layout.width, channels))
    places[: layout.height, :, : layout.channels] = codes
    by_slot = places.reshape(slots, strip, layout.width, channels // 16, 16)
    pixels = by_slot.transpose(3, 1, 2, 0, 4).reshape(-1, 16)  # (tile, row, column, slot)
    done = []

    async def feed(ctx):
        ctx.set(dut.layer, fields)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for pixel in pixels:
            while rng.random() < 0.3:
                await ctx.tick()
            ctx.set(dut.i.p, pixel.tolist())
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(10)

    async def watch(ctx):
        last = 0
        for clock in range(5 * 4 * len(pixels) + 40):
            enable = ctx.get(dut.write_enable)
            for quarter in range(4):
                if enable >> quarter & 1:
                    data = np.reshape(list(ctx.get(dut.write_data)), (4, 4))
                    memory[ctx.get(dut.write_address), quarter] = data[quarter]
                    last = clock
            if ctx.get(dut.done):
                done.append(clock - last)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    assert len(done) == 1
    assert done[0] >= 1
    return memory.reshape(DEPTH, 16)


CASES = [
    # pack, group, code width, slots and strip of the convolution, strip and height of the map
    (0, 16, 8, 1, 6, 6, 6),
    (0, 16, 6, 4, 2, 7, 7),
    (0, 8, 8, 1, 6, 3, 5),
    (0, 8, 8, 2, 3, 3, 6),
    (0, 8, 8, 4, 2, 4, 7),
    (0, 4, 8, 1, 8, 2, 8),
    (1, 16, 4, 2, 4, 4, 7),
    (1, 16, 4, 1, 8, 4, 6),
    (1, 8, 4, 4, 2, 2, 8),
    (2, 16, 2, 4, 2, 2, 5),
    (2, 16, 2, 2, 4, 2, 8),
]


@pytest.mark.parametrize("channels", [16, 40])
@pytest.mark.parametrize(("pack", "group", "width", "slots", "strip", "map_strip", "height"), CASES)
def test_memory_equals_golden(pack, group, width, slots, strip, map_strip, height, channels):
    layout = MapLayout(
        height=height, width=3, channels=channels, group=group, pack=pack,
        code_width=width, strip=map_strip,
    )  # fmt: skip
    shape = (height, 3, channels)
    codes = np.random.default_rng(0).integers(0, 1 << width, shape, np.uint8)
    memory = write(codes, layout, slots=slots, strip=strip, zero_point=1)
    assert np.array_equal(layout.decode(memory[BASE : BASE + layout.words]), codes)
    used = min(slots * strip, layout.slots * layout.strip) - height
    if channels % 16 == 0 and used == layout.slots * layout.strip - height:
        expected = layout.encode(codes, zero_point=1)
        assert np.array_equal(memory[BASE : BASE + layout.words], expected)


def test_refuses_widths():
    layout = MapLayout(height=1, width=1, channels=1, group=16, pack=0, code_width=5, strip=1)
    with pytest.raises(ValueError, match=r"^Codes of 5 bits cannot be written packed by 1$"):
        writer_fields(layout, strip=1, slots=1, zero_point=0, base=0)
