"""The cocotb bench: a driver's work, run against the Verilog of an accelerator."""

import cocotb
from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import ClockCycles, First, Timer, ValueChange

from downshift.sim.job import run_job
from downshift.sim.serial_port import PORT_BYTES
from downshift.sw.device.driver import Accelerator

__all__ = ["SimulationTransport", "bench"]

CLOCK_NS = 10
QUIET_CYCLES = 4_000
"""Longer than a request or a reply is on the line."""
RESET_CYCLES = 200
"""Until the line is idle again, whatever was being sent."""


class SimulationTransport:
    """The driver's link to a `SerialPort` in a running simulation.

    Parameters
    ----------
    port
        The simulated `SerialPort`.
    timeout_cycles : int
        How long `read` waits for a frame.
    """

    def __init__(self, port, *, timeout_cycles: int = 2_000_000):
        self.port = port
        self.timeout_cycles = timeout_cycles
        self._frames = 0  # seen so far
        self._bytes = 0  # returned since the last write

    @resume
    async def write(self, content: bytes) -> None:
        """Hand all of `content` to the port."""
        if len(content) > PORT_BYTES:
            raise ValueError(f"At most {PORT_BYTES} bytes can be sent at once, not {len(content)}")
        self.port.send_data.value = int.from_bytes(content, "little")
        self.port.send_count.value = len(content)
        self.port.send.value = not self.port.send.value
        self._bytes = 0
        self._frames = int(self.port.frames.value)

    @resume
    async def watch(self, on: bool) -> None:
        """Let the port watch the requests to come, if it is traced."""
        self.port.watch.value = on

    @resume
    async def read(self) -> bytes:
        """Wait for a whole frame; empty if none comes."""
        if int(self.port.frames.value) == self._frames:
            timeout = Timer(self.timeout_cycles * CLOCK_NS, "ns")
            if await First(ValueChange(self.port.frames), timeout) is timeout:
                return b""
        self._frames = int(self.port.frames.value)
        count = int(self.port.received_count.value)
        whole = self.port.received_data.value.to_unsigned().to_bytes(PORT_BYTES, "little")
        fresh = whole[PORT_BYTES - count + self._bytes :]
        self._bytes = count
        return fresh

    @resume
    async def drain(self) -> None:
        """Forget what arrives until nothing comes for `QUIET_CYCLES`."""
        while True:
            self._frames = int(self.port.frames.value)
            quiet = Timer(QUIET_CYCLES * CLOCK_NS, "ns")
            if await First(ValueChange(self.port.frames), quiet) is quiet:
                break
        self._bytes = int(self.port.received_count.value)

    @resume
    async def reset(self, *, after_cycles: int) -> None:
        """Reset the accelerator in the midst of whatever it does, some cycles from now."""
        await Timer(after_cycles * CLOCK_NS, "ns")
        self.port.reset.value = not self.port.reset.value
        await Timer(RESET_CYCLES * CLOCK_NS, "ns")


@cocotb.test()
async def bench(dut):
    """Run the job."""
    dut.send.value = 0
    dut.send_count.value = 0
    dut.reset.value = 0
    Clock(dut.clk, CLOCK_NS, unit="ns", impl="gpi").start()
    await ClockCycles(dut.clk, 8)

    await run_job(Accelerator(SimulationTransport(dut)))
