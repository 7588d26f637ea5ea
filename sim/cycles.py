"""The cycle model: how long a frame takes, from the program alone."""

import math
from collections import deque
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from downshift.hw.array_style import array_timing
from downshift.hw.channel_serializer import ChannelSerializer
from downshift.hw.conv_layer import ConvLayer
from downshift.hw.descriptor import LayerDescriptor, descriptor_fields
from downshift.hw.errors import DownshiftError
from downshift.hw.partial_sums import PartialSums
from downshift.hw.pass_queue import PassQueue
from downshift.hw.requantize import Requantize
from downshift.hw.residual_sum import ResidualSum
from downshift.hw.sequencer import Sequencer, program_layers
from downshift.hw.skid_buffer import SkidBuffer
from downshift.hw.store import Store
from downshift.hw.table_config import TableConfig
from downshift.hw.weight_loader import WeightLoader
from downshift.hw.window import Window
from downshift.sim.table_cycles import PassCycles, program_cycles
from downshift.sw.compile.image import Image

__all__ = ["FrameCycles", "Spent", "cycles"]


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What the cycles of a pass went to."""

    busy: int
    """Multipliers work."""
    tile_load: int
    """Weights are loaded or tables filled, and nothing else goes on."""
    fetch: int
    """The array waits for the map that enters, or a pool reads it."""
    requantize: int
    """All others: complete sums on their way to memory, and what leads to the next pass."""


@dataclass(frozen=True, kw_only=True)
class FrameCycles:
    """Predicted cycles of a frame."""

    total: int
    passes: tuple[int, ...]
    """Of each descriptor, its fetch included."""
    spent: tuple[Spent, ...]
    """By descriptor; each sums up to its cycles."""


def cycles(image: Image, width: int) -> FrameCycles:
    """Predict the cycles of a frame.

    Parameters
    ----------
    image : Image
    width : int
        One of ``image.widths``.

    Returns
    -------
    FrameCycles

    Raises
    ------
    DownshiftError
        If the image does not run at `width`.

    Notes
    -----
    A tile of weights takes as long as its vectors, ``vectors * steps``, or as the load of the next
    one, ``lanes * codes per byte`` words, whichever is longer. Complete sums queue for the
    requantizers, which take ``groups`` cycles a pixel; a full queue stalls the array.
    """
    if width not in image.widths:
        have = ", ".join(map(str, image.widths))
        raise DownshiftError(f"The image runs at widths {have}, not {width!r}")
    program = np.frombuffer(image.program, "<u4").tolist()
    if isinstance(image.config, TableConfig):
        layers = program_layers(program, width, ConvLayer)
        fields = [descriptor_fields(words, ConvLayer) for words in layers]
        predicted = program_cycles(fields, image.config)
        ends = [start + made.total for start, made in predicted]
        ends[-1] += PassQueue.release
        passes = tuple(later - end for end, later in pairwise([0, *ends]))
        spent = tuple(
            _spent(entry, total, made)
            for entry, total, (_, made) in zip(fields, passes, predicted, strict=True)
        )
        return FrameCycles(total=ends[-1], passes=passes, spent=spent)
    spent = tuple(
        _pass_cycles(descriptor_fields(words), image) for words in program_layers(program, width)
    )
    passes = tuple(sum(asdict(entry).values()) for entry in spent)
    store_latency = Store.latency_of(pipelined=image.config.pipelined)
    lookup = Sequencer.lookup_latency_of(store_latency) - 1
    return FrameCycles(total=lookup + sum(passes), passes=passes, spent=spent)


def _spent(layer: dict, total: int, made: PassCycles) -> Spent:
    """What a pass of the table style spent its cycles on."""
    if layer["pool"]:
        return Spent(busy=0, tile_load=0, fetch=made.total, requantize=total - made.total)
    load, fetch = made.fill + made.load_wait, made.fetch_wait
    if layer["separate"] and not layer["lanes"]["dense"]:
        # Columns that no window ends in are only read.
        kernel = layer["lanes"]["last_row"] + 1
        columns = math.prod(
            layer["fetch"][f"last_{name}"] + 1 for name in ("tile", "row", "column")
        )
        fetch += (columns - made.vectors) * kernel
    return Spent(
        busy=made.busy,
        tile_load=load,
        fetch=fetch,
        requantize=total - made.busy - load - fetch,
    )


def _pass_cycles(layer: dict[str, int], image: Image) -> Spent:
    """Cycles from the first word of a descriptor to `layer_done`."""
    config = image.config
    array = array_timing(config, weight_code=layer["weight_width"], pack=layer["in_pack"])
    steps, load = array.steps, array.load
    depth_tiles = (layer["last_kernel_row"] + 1) * (layer["last_chunk"] + 1)
    vectors = (layer["last_pixel"] + 1) * (layer["last_pool"] + 1)
    skid = SkidBuffer.latency * config.pipelined
    output_latency = ChannelSerializer.latency_of(pipelined=config.pipelined)
    if layer["logits"]:
        beats, beat_cycles = config.rows, 1
        output_latency += 1
    else:
        beats, beat_cycles = config.groups, config.group_cycles
        output_latency += Requantize.registers + skid
        output_latency += ResidualSum.latency * config.all_layers
    output = _Output(
        latency=steps - 1 + array.latency,
        pipelined=config.pipelined,
        depth=config.output_depth,
        beats=beats,
        beat_cycles=beat_cycles,
    )

    # When a vector takes its first step, without stalls, and when its tile is there.
    enter = WeightLoader.latency_of(pipelined=config.pipelined) + skid + load + 1
    there = enter
    ended = stalled = 0
    for _ in range(layer["last_tile"] + 1):
        for depth_tile in range(depth_tiles):
            complete = depth_tile + 1 == depth_tiles and not layer["keep"]
            for vector in range(vectors):
                if not complete and not output.can_stall:
                    enter += (vectors - vector) * steps
                    break
                output.put(enter, complete=complete)
                enter += steps
                output.real(enter - 1)
            ended, stalled = output.real(enter - 1), output.array_stall
            # The next tile is there once this one is done with and its load, held up by no stall.
            there = max(there + load + array.load_gap, ended + 1)
            while (late := there - output.real(enter)) > 0:
                enter += 1 if output.can_stall else late
    if layer["keep"]:
        done = ended + array.latency + skid + PartialSums.latency_of(pipelined=config.pipelined) + 1
    else:
        done = output.drained() + output_latency
    busy = (layer["last_tile"] + 1) * depth_tiles * vectors * steps
    # Before there is a vector, the array waits for nothing else.
    begun = Window.latency_of(pipelined=config.pipelined) + skid
    fetch = Sequencer.fetch_latency_of(
        LayerDescriptor, Store.latency_of(pipelined=config.pipelined)
    )
    return Spent(
        busy=busy,
        tile_load=ended + 1 - stalled - busy - begun,
        fetch=0,
        requantize=begun + stalled + done - ended - 1 + fetch,
    )


class _Output:
    """Array, skid buffer, partial sums and queue, with the stalls that a full queue causes.

    Times are those at which the array would have got so far without stalls; `real` adds them.

    Parameters
    ----------
    latency : int
        Cycles from a vector's first step to its results.
    pipelined : bool
        Whether there is a skid buffer, and a register in the partial sums.
    depth : int
        Pixels that the queue holds.
    beats, beat_cycles : int
        Beats of a pixel, and cycles from one to the next.
    """

    def __init__(self, *, latency: int, pipelined: bool, depth: int, beats: int, beat_cycles: int):
        self.latency = latency
        self.pipelined = pipelined
        self.service = beats * beat_cycles
        self.last_beat = self.service - beat_cycles
        self.array_stall = 0
        self.now = 0
        self.left: int | None = None  # when the last vector left the skid buffer
        self.stalls: deque[tuple[int, int]] = deque()  # of the sums, those not over
        self.coming: deque[tuple[int, bool]] = deque()
        self.complete_coming = 0
        self.begun = 0  # when the first beat of the last pixel was picked
        self.waiting: deque[int] | None = deque(maxlen=depth - 1) if depth > 1 else None

    @property
    def can_stall(self) -> bool:
        """Whether a vector that enters now may meet a stall."""
        buffered = self.left is not None and self.left >= self.now
        return self.complete_coming > 0 or bool(self.stalls) or buffered

    def put(self, entered: int, *, complete: bool) -> None:
        """Let a vector enter the array; `complete` if its sums go to the queue."""
        self.coming.append((entered + self.latency, complete))
        self.complete_coming += complete

    def real(self, time: int) -> int:
        """Cycle at which the array gets to `time`, which must not fall from call to call."""
        # A register tells the array of results that wait: the cycle of the first goes on.
        while self.coming and self.coming[0][0] + self.pipelined <= time:
            offered, complete = self.coming.popleft()
            self.complete_coming -= complete
            buffered = offered + self.array_stall
            if not self.pipelined:
                if complete:
                    self.array_stall = self._write(buffered) - offered
                continue
            taken = buffered + SkidBuffer.latency
            if self.left is not None:
                self.array_stall += max(0, self.left - buffered)
                taken = max(taken, self.left + 1)
            while self.stalls and self.stalls[0][0] <= taken:
                _, end = self.stalls.popleft()
                taken = max(taken, end)
            self.left = taken
            if complete:
                ready = taken + PartialSums.latency_of(pipelined=True)
                ready += sum(end - start for start, end in self.stalls)
                written = self._write(ready)
                if written > ready:
                    self.stalls.append((ready, written))
        self.now = time + self.array_stall
        return self.now

    def _write(self, ready: int) -> int:
        """Let complete sums enter the queue as soon as it has room; the cycle in which they do."""
        if self.waiting is None:
            self.begun = max(ready, self.begun + self.service)
            return self.begun + self.last_beat
        written = ready
        if len(self.waiting) == self.waiting.maxlen:
            written = max(written, self.waiting[0] + 1)
        # A pixel reaches the head of the queue with the last beat of the one before.
        moved = max(written + 1, self.begun + self.last_beat)
        self.begun = max(moved + 1, self.begun + self.service)
        self.waiting.append(moved)
        return written

    def drained(self) -> int:
        """Cycle after the last beat was picked."""
        if self.coming:
            self.real(self.coming[-1][0] + self.pipelined)
        return self.begun + self.last_beat + 1
