"""Run one block in Amaranth's simulator: values in, values out, gaps, a monitor and a watchdog."""

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from downshift.hw.block_ram import BlockRam
from downshift.hw.fabric import ram_port

__all__ = ["ProtocolError", "Rom", "WatchdogError", "read_late", "read_store", "run"]

BEFORE, BEHIND = 2, 2
"""Registers of a `BlockRam` before what it reads in a cycle, and behind it."""


def read_late(m, memory, read):
    """Let `read`, a `ram_port`, read `memory` in the cycles that a `BlockRam` takes."""
    assert BEFORE + 1 + BEHIND == BlockRam.latency
    port = memory.read_port()
    addresses = [Signal.like(read.address, name=f"address_{k}") for k in range(BEFORE)]
    words = [Signal.like(port.data, name=f"word_{k}") for k in range(BEHIND)]
    enabled = Signal(BEFORE)
    m.d.sync += [
        Cat(addresses).eq(Cat(read.address, *addresses)),
        enabled.eq(Cat(read.enable, enabled)),
        Cat(words).eq(Cat(port.data, *words)),
    ]
    m.d.comb += [
        port.addr.eq(addresses[-1]),
        port.en.eq(enabled[-1]),
        read.data.eq(words[-1]),
    ]


def read_store(m, words, reader, *, latency):
    """Let `reader`, a block with ports `read` and `advance`, read `words` as from a store.

    A read takes `latency` cycles, all but the first of them with `advance`.
    """
    shape = Value.cast(reader.read.data).shape()
    m.submodules.memory = memory = Memory(shape=shape, depth=len(words), init=words)
    port = memory.read_port()
    m.d.comb += [port.en.eq(reader.read.enable), port.addr.eq(reader.read.address)]
    word = port.data
    for cycle in range(1, latency):
        held = Signal.like(word, name=f"held_{cycle}")
        with m.If(reader.advance):
            m.d.sync += held.eq(word)
        word = held
    m.d.comb += Value.cast(reader.read.data).eq(word)


class Rom(wiring.Component):
    """A memory of `content`, words of bytes, that reads as `BlockRam` does."""

    def __init__(self, content, *, depth: int):
        self.content = content
        self.depth = depth
        super().__init__({"read": In(ram_port(depth, data.ArrayLayout(8, len(content[0]))))})

    def elaborate(self, platform):
        m = Module()
        shape = self.read.data.shape()
        m.submodules.memory = memory = Memory(shape=shape, depth=self.depth, init=self.content)
        read_late(m, memory, self.read)
        return m


class WatchdogError(AssertionError):
    """The block gave fewer values than expected within the cycle limit."""


class ProtocolError(AssertionError):
    """The block changed or withdrew what it had offered."""


def run(
    dut,
    inputs: Mapping[str, Iterable],
    *,
    outputs: Mapping[str, int],
    settings=None,
    gaps=0.0,
    steady=(),
    settle=0,
    seed=0,
    limit=100_000,
    vcd=None,
):
    """Drive the input streams of a block, and collect from its output streams.

    Parameters
    ----------
    dut : wiring.Component
        Block in the ``sync`` domain.
    inputs : mapping of str to iterable
        Payloads (constants, or dicts for structs) by the name of the stream.
    outputs : mapping of str to int
        How many payloads to wait for, by the name of the stream.
    settings : mapping of str to int
        Values of plain inputs, set before the first cycle.
    gaps : float
        Chance, 0…1, that a side of a stream pauses for a cycle: inputs their `valid`, outputs their
        `ready` unless it is constant.
    steady : collection of str
        Streams whose side of this bench does not pause.
    settle : int
        Cycles from the settings to the first payload, at least.
    seed : int
        Of the gaps.
    limit : int
        Cycles after which the run fails.
    vcd : Path, optional
        Where to write a waveform.

    Returns
    -------
    outputs : dict of str to list
        Payloads taken from each output.
    cycles : dict of str to list of int
        The cycle in which each input and output payload was transferred, by name of the stream.

    Raises
    ------
    WatchdogError
        If an output is short of payloads at the limit.
    ProtocolError
        If an offered payload changes or vanishes before it is taken.
    """
    outputs = dict(outputs)
    taken = {name: [] for name in outputs}
    cycles = {name: [] for name in (*inputs, *outputs)}
    rng = np.random.default_rng(seed)
    # One stream of pauses for each side: what one draws must not move the others.
    pause = {name: (rng.random(1 << 16) < gaps).tolist() for name in (*inputs, *outputs)}
    clock = 0

    def paused(name):
        return name not in steady and pause[name][clock & 0xFFFF]

    async def feed(ctx, name, values):
        port = getattr(dut, name)
        for _ in range(settle):
            await ctx.tick()
        for value in values:
            while paused(name):
                await ctx.tick()
            ctx.set(port.payload, value)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            cycles[name].append(clock - 2)  # `watch` has counted on
            ctx.set(port.valid, 0)

    async def drain(ctx, name, count):
        port = getattr(dut, name)
        always_ready = isinstance(port.ready, Const)
        offered = None
        while len(taken[name]) < count:
            ready = always_ready or not paused(name)
            if not always_ready:
                ctx.set(port.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
            if offered is not None and (not valid or payload != offered):
                what = "changed" if valid else "withdrew"
                raise ProtocolError(f"Stream {name} {what} what it had offered: {offered!r}")
            offered = payload if valid and not ready else None
            if valid and ready:
                taken[name].append(payload)
                cycles[name].append(clock - 2)  # `watch` has counted on
        if not always_ready:
            ctx.set(port.ready, 0)

    async def watch(ctx):
        nonlocal clock
        for name, value in (settings or {}).items():
            ctx.set(getattr(dut, name), value)
        while any(len(taken[name]) < count for name, count in outputs.items()):
            if clock >= limit:
                missing = {name: f"{len(taken[name])} of {n}" for name, n in outputs.items()}
                raise WatchdogError(f"After {limit} cycles the streams gave {missing}")
            clock += 1
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(watch)
    for name, values in inputs.items():
        simulator.add_testbench(partial(feed, name=name, values=values), background=True)
    for name, count in outputs.items():
        simulator.add_testbench(partial(drain, name=name, count=count), background=True)
    if vcd is None:
        simulator.run()
    else:
        with simulator.write_vcd(str(vcd)):
            simulator.run()
    return taken, cycles
