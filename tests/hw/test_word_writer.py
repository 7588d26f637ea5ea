# amaranth: UnusedElaboratable=no
import numpy as np
import pytest
from amaranth.sim import Simulator

from downshift.hw.map_layout import LogitsLayout, MapLayout
from downshift.hw.table import row_order
from downshift.hw.word_writer import WordWriter
from downshift.hw.writer_layer import words_per_tile, writer_fields

DEPTH, BASE = 256, 5
ROW_ORDER = row_order(16)


def write(outputs, layout, *, slots, strip, zero_point=0, bands=1):
    """Memory after a map was written by a convolution of `slots` strips of `strip` rows."""
    dut = WordWriter(depth=DEPTH)
    rng = np.random.default_rng(1)
    memory = rng.integers(0, 256, (DEPTH, 4, 4), np.uint8)
    rows, channels = slots * strip, -(-layout.channels // 16) * 16
    logits = isinstance(layout, LogitsLayout)
    largest = 1 << (20 if logits else layout.code_width)
    places = rng.integers(0, largest, (rows, layout.width, channels))
    places[: layout.height, :, : layout.channels] = outputs
    by_slot = places.reshape(slots, strip, layout.width, channels // 16, 16)
    ordered = by_slot.transpose(3, 1, 2, 0, 4)  # (tile, row, column, slot, channel)
    port = dut.i_logits if logits else dut.i
    spacing = 16 if logits else words_per_tile(layout)
    coming: list[tuple[int, int]] = []
    done, passes = [], np.array_split(np.arange(strip), bands)
    waited = 0

    async def feed(ctx):
        nonlocal waited
        for band in passes:
            fields = writer_fields(
                layout, slots=slots, strip=strip, zero_point=zero_point, base=BASE,
                rows=range(band[0], band[-1] + 1),
            )  # fmt: skip
            ctx.set(dut.layer, fields)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            pixels = ordered[:, band].reshape(-1, 16)
            for index, pixel in enumerate(pixels):
                while rng.random() < 0.3 or (index % (len(pixels) // len(ordered)) == 0 == waited):
                    waited += 1
                    await ctx.tick()
                waited = 0
                if logits:
                    coming.extend((dut.latency + k, pixel[row]) for k, row in enumerate(ROW_ORDER))
                else:
                    ctx.set(port.p, pixel.tolist())
                ctx.set(port.valid, 1)
                await ctx.tick()
                ctx.set(port.valid, 0)
                for _ in range(spacing - 1):
                    await ctx.tick()
            await ctx.tick().repeat(30)

    async def give_sums(ctx):
        while True:
            for index, (wait, value) in enumerate(coming):
                if wait == 0:
                    ctx.set(port.p, int(value))
                coming[index] = (wait - 1, value)
            await ctx.tick()

    async def watch(ctx):
        last = 0
        for clock in range((spacing + 1) * 4 * places.size // 16 + 80):
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
    if logits:
        simulator.add_testbench(give_sums, background=True)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    assert len(done) == bands
    assert min(done) >= 1
    return memory.reshape(DEPTH, 16)


CASES = [
    # pack, group, code width, slots and strip of the convolution, strip and height of the map
    (0, 16, 8, 1, 6, 6, 6),
    (0, 16, 6, 4, 2, 7, 7),
    (0, 16, 4, 2, 4, 8, 8),
    (0, 8, 8, 1, 6, 3, 5),
    (0, 4, 6, 1, 8, 2, 8),
    (1, 8, 4, 1, 8, 2, 7),
    (1, 16, 4, 2, 4, 4, 7),
    (1, 16, 4, 1, 8, 4, 6),
    (2, 16, 2, 4, 2, 2, 5),
    (2, 16, 2, 2, 4, 2, 8),
    (2, 32, 2, 2, 4, 4, 8),
    (2, 32, 2, 4, 2, 4, 7),
    (2, 32, 2, 1, 8, 4, 8),
]


FEW = [
    (0, 8, 8, 1, 6, 3, 5),
    (0, 8, 2, 2, 3, 3, 6),
    (0, 8, 6, 4, 2, 4, 7),
    (0, 4, 8, 1, 8, 2, 8),
    (1, 8, 4, 4, 2, 2, 8),
    (1, 8, 2, 1, 8, 2, 7),
]


@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize(
    ("channels", "case"),
    [(channels, case) for channels in (16, 40) for case in CASES] + [(3, case) for case in FEW],
)
def test_memory_equals_golden(channels, case, bands):
    pack, group, width, slots, strip, map_strip, height = case
    layout = MapLayout(
        height=height, width=3, channels=channels, group=group, pack=pack,
        code_width=width, strip=map_strip,
    )  # fmt: skip
    shape = (height, 3, channels)
    codes = np.random.default_rng(0).integers(0, 1 << width, shape, np.uint8)
    memory = write(codes, layout, slots=slots, strip=strip, zero_point=1, bands=bands)
    assert np.array_equal(layout.decode(memory[BASE : BASE + layout.words]), codes)
    used = min(slots * strip, layout.slots * layout.strip) - height
    if channels % group == 0 and used == layout.slots * layout.strip - height:
        expected = layout.encode(codes, zero_point=1)
        assert np.array_equal(memory[BASE : BASE + layout.words], expected)


@pytest.mark.parametrize(("channels", "height", "bands"), [(10, 1, 1), (16, 3, 3), (37, 4, 2)])
def test_logits_equal_golden(channels, height, bands):
    layout = LogitsLayout(height=height, width=2, channels=channels, shift=3)
    shape = (height, 2, channels)
    sums = np.random.default_rng(0).integers(-1 << 28, 1 << 28, shape)
    memory = write(sums << 3, layout, slots=1, strip=height, bands=bands)
    assert np.array_equal(layout.decode(memory[BASE : BASE + layout.words]), sums)
    rest = np.delete(memory, range(BASE, BASE + layout.words), axis=0)
    before = np.random.default_rng(1).integers(0, 256, (DEPTH, 4, 4), np.uint8).reshape(DEPTH, 16)
    assert np.array_equal(rest, np.delete(before, range(BASE, BASE + layout.words), axis=0))


def test_refusals():
    sizes = {"height": 1, "width": 1, "strip": 1, "pack": 0}
    arguments = {"strip": 1, "zero_point": 0, "base": 0}
    odd = MapLayout(**sizes, channels=1, group=16, code_width=5)
    with pytest.raises(ValueError, match=r"^Codes to write must have 8, 6, 4 or 2 bits, not 5$"):
        writer_fields(odd, slots=1, **arguments)
    many = MapLayout(**sizes, channels=9, group=8, code_width=8)
    with pytest.raises(ValueError, match=r"^Pixels of 2 words must come from one slot, not 4$"):
        writer_fields(many, slots=4, **arguments)
    logits = LogitsLayout(height=1, width=1, channels=5, shift=0)
    with pytest.raises(ValueError, match=r"^Pixels of 4 words must come from one slot, not 2$"):
        writer_fields(logits, slots=2, **arguments)
