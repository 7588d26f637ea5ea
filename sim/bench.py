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
        self._send = 0  # its level
        self._frames = 0  # seen so far
        self._count = 0  # of bytes, at the last look
        self._held = b""  # what came, and was not asked for yet

    @resume
    async def write(self, content: bytes) -> None:
        """Hand all of `content` to the port, once it has sent what came before."""
        if len(content) > PORT_BYTES:
            raise ValueError(f"At most {PORT_BYTES} bytes can be sent at once, not {len(content)}")
        while int(self.port.done.value) != self._send:
            await First(ValueChange(self.port.done), ValueChange(self.port.frames))
            self._held += self._fresh()
        self.port.send_data.value = int.from_bytes(content, "little")
        self.port.send_count.value = len(content)
        # The port sees it later; until then it still tells what it had.
        self._send ^= 1
        self.port.send.value = self._send

    @resume
    async def watch(self, on: bool) -> None:
        """Let the port watch the requests to come, if it is traced."""
        self.port.watch.value = on

    @resume
    async def read(self) -> bytes:
        """Wait for a whole frame; empty if none comes."""
        if not self._held and int(self.port.frames.value) == self._frames:
            timeout = Timer(self.timeout_cycles * CLOCK_NS, "ns")
            if await First(ValueChange(self.port.frames), timeout) is timeout:
                return b""
        arrived, self._held = self._held + self._fresh(), b""
        return arrived

    @resume
    async def drain(self) -> None:
        """Forget what arrives until nothing comes for `QUIET_CYCLES`."""
        while True:
            self._fresh()
            quiet = Timer(QUIET_CYCLES * CLOCK_NS, "ns")
            if await First(ValueChange(self.port.frames), quiet) is quiet:
                break
        self._fresh()
        self._held = b""

    @resume
    async def reset(self, *, after_cycles: int) -> None:
        """Reset the accelerator in the midst of whatever it does, some cycles from now."""
        await Timer(after_cycles * CLOCK_NS, "ns")
        self.port.reset.value = not self.port.reset.value
        await Timer(RESET_CYCLES * CLOCK_NS, "ns")

    def _fresh(self) -> bytes:
        """What has come since the last look."""
        self._frames = int(self.port.frames.value)
        count = int(self.port.received_count.value)
        fresh = min((count - self._count) % (1 << 16), PORT_BYTES)
        self._count = count
        whole = self.port.received_data.value.to_unsigned().to_bytes(PORT_BYTES, "little")
        return whole[PORT_BYTES - fresh :]


@cocotb.test()
async def bench(dut):
    """Run the job."""
    dut.send.value = 0
    dut.send_count.value = 0
    dut.reset.value = 0
    Clock(dut.clk, CLOCK_NS, unit="ns", impl="gpi").start()
    await ClockCycles(dut.clk, 8)

    await run_job(Accelerator(SimulationTransport(dut)))
