"""The cocotb bench of the IP core: a driver's work over AXI, with random stalls if wanted."""

import os
import random

import cocotb
from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from downshift.hw.axi_core import CONTROL, DATA_IN, DATA_OUT
from downshift.hw.errors import DownshiftError
from downshift.sim.job import run_job
from downshift.sw.device.axi_link import AxiLink
from downshift.sw.device.driver import Accelerator

__all__ = ["STALLS_VARIABLE", "SimulatedAxiPort", "bench"]

STALLS_VARIABLE = "DOWNSHIFT_AXI_STALLS"
"""Environment variable: the part of the cycles in which each channel pauses; none by default."""
CLOCK_NS = 10
TIMEOUT_CYCLES = 2_000_000


class SimulatedAxiPort:
    """Registers and streams of the core in a running simulation: an `AxiPort`.

    Parameters
    ----------
    dut
        The simulated `AxiCore`.
    stalls : float
        The part of the cycles in which each channel pauses, at random.
    """

    def __init__(self, dut, *, stalls: float):
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        bus = AxiLiteBus.from_prefix(dut, CONTROL.rstrip("_"))
        self.dut = dut
        self.control = AxiLiteMaster(bus, dut.aclk, **reset)
        there = AxiStreamBus.from_prefix(dut, DATA_IN.rstrip("_"))
        self.source = AxiStreamSource(there, dut.aclk, **reset)
        back = AxiStreamBus.from_prefix(dut, DATA_OUT.rstrip("_"))
        self.sink = AxiStreamSink(back, dut.aclk, **reset)
        for quiet in (self.control.write_if, self.control.read_if, self.source, self.sink):
            quiet.log.setLevel("WARNING")  # it tells every access
        if stalls:
            write, read = self.control.write_if, self.control.read_if
            channels = (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel,
                        read.r_channel, self.source, self.sink)  # fmt: skip
            for channel in channels:
                channel.set_pause_generator(_pauses(random.Random(random.random()), stalls))

    @resume
    async def read_register(self, offset: int) -> int:
        """Return a word of 32 bits."""
        answer = await self.control.read(offset, 4)
        if answer.resp:
            raise DownshiftError(f"Register {offset:#04x} cannot be read: {answer.resp.name}")
        return int.from_bytes(answer.data, "little")

    def write_register(self, offset: int, value: int) -> None:
        """Write a word of 32 bits."""
        self.write_bytes(offset, value.to_bytes(4, "little"))

    @resume
    async def write_bytes(self, offset: int, content: bytes) -> None:
        """Write some of the bytes of a word."""
        answer = await self.control.write(offset, content)
        if answer.resp:
            raise DownshiftError(f"Register {offset:#04x} cannot be written: {answer.resp.name}")

    @resume
    async def send(self, content: bytes) -> None:
        """Begin to send all of `content`."""
        await self.source.send(AxiStreamFrame(content))

    @resume
    async def receive(self, size: int) -> bytes:
        """Return `size` bytes of the stream; what comes, or none, if no frame of that size does."""
        coming = cocotb.start_soon(self.sink.recv())
        timeout = Timer(TIMEOUT_CYCLES * CLOCK_NS, "ns")
        if await First(coming, timeout) is timeout:
            coming.cancel()
            return b""
        return bytes(coming.result().tdata)

    @resume
    async def stop(self) -> None:
        """Stop sending what is left of `send`, and forget what was received."""
        self.source.clear()
        self.sink.clear()

    @resume
    async def wait(self) -> bool:
        """Wait for the interrupt, a while; return whether it came."""
        if self.dut.interrupt.value == 1:
            return True
        timeout = Timer(TIMEOUT_CYCLES * CLOCK_NS, "ns")
        return await First(RisingEdge(self.dut.interrupt), timeout) is not timeout

    @resume
    async def interrupt(self) -> int:
        """Return the level of the interrupt."""
        return int(self.dut.interrupt.value)


def _pauses(rng, rate):
    while True:
        yield rng.random() < rate


@cocotb.test()
async def bench(dut):
    """Run the job."""
    dut.aresetn.value = 0
    Clock(dut.aclk, CLOCK_NS, unit="ns", impl="gpi").start()
    port = SimulatedAxiPort(dut, stalls=float(os.environ.get(STALLS_VARIABLE, "0")))
    await ClockCycles(dut.aclk, 8)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    await run_job(Accelerator(AxiLink(port)))
