"""The cocotb bench of the accelerator behind SPI: a driver's work over a simulated controller."""

import cocotb
from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import ClockCycles, ValueChange

from downshift.sim.job import run_job
from downshift.sim.spi_port import SPI_BYTES
from downshift.sw.device.driver import Accelerator
from downshift.sw.device.spi_transport import SpiTransport

__all__ = ["bench", "spi_transfer"]

CLOCK_NS = 10


def spi_transfer(port):
    """Return what exchanges bytes with the accelerator of a simulated `SpiPort`."""

    @resume
    async def transfer(content: bytes) -> bytes:
        port.send_data.value = int.from_bytes(content.ljust(SPI_BYTES, b"\0"), "big")
        port.send_count.value = len(content)
        port.send.value = not port.send.value
        await ValueChange(port.done)
        received = port.received_data.value.to_unsigned().to_bytes(SPI_BYTES, "big")
        return received[SPI_BYTES - len(content) :]

    return transfer


@cocotb.test()
async def bench(dut):
    """Run the job."""
    dut.send.value = 0
    dut.send_count.value = 0
    Clock(dut.clk, CLOCK_NS, unit="ns", impl="gpi").start()
    await ClockCycles(dut.clk, 8)
    await run_job(Accelerator(SpiTransport(spi_transfer(dut))))
