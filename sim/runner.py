"""The runner: an accelerator and a driver's work into a Verilator simulation."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from downshift.hw.axi_core import AxiCore
from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.generate import generate_verilog
from downshift.hw.table_config import TableConfig
from downshift.hw.top import SpiTop, Top
from downshift.sim.serial_port import SerialPort
from downshift.sim.spi_port import SpiPort
from downshift.sim.verilator import check_tools, run_bench, verilate
from downshift.sw.atomic_write import make_folder

__all__ = [
    "AXI",
    "DIVISOR",
    "LINKS",
    "SPI",
    "UART",
    "SimulatedLink",
    "Simulation",
    "build_simulation",
]

DIVISOR = 2
"""Clock cycles per bit of the simulated UART: the fewest, since the link takes most of the time."""
SPI_HALF = 4
"""Clock cycles of half a period of the simulated SPI: the fewest."""


@dataclass(frozen=True, kw_only=True)
class SimulatedLink:
    """What a simulation is built around."""

    toplevel: str
    """Module of the Verilog."""
    bench: str
    """Module of Python that runs in the simulator."""
    driven: tuple[str, ...]
    seen: tuple[str, ...]
    """What Python writes, and reads; all else is left to the optimizer, which makes the simulation
    ten times faster."""
    backdoors: tuple[tuple[str, str], ...] = ()
    """More that Python writes: patterns of a module and of what is in it."""
    traced: bool = False
    """The simulator dumps what changes in the accelerator, for `downshift.sim.traced_frames`."""

    @property
    def control(self) -> str:
        """Verilator's control file."""
        visible = [("rw", self.toplevel, name) for name in self.driven]
        visible += [("rd", self.toplevel, name) for name in self.seen]
        visible += [("rw", *place) for place in self.backdoors]
        return "`verilator_config\n" + "".join(
            f'public_flat_{how} -module "{module}" -var "{name}"\n' for how, module, name in visible
        )


UART = SimulatedLink(
    toplevel="serial_port",
    bench="downshift.sim.bench",
    driven=("clk", "send*", "reset"),
    seen=("done", "frames", "received_*"),
)
TRACED = replace(UART, driven=(*UART.driven, "watch"), traced=True)
AXI = SimulatedLink(
    toplevel="downshift_axi",
    bench="downshift.sim.axi_bench",
    driven=("aclk", "aresetn", "*axi*"),
    seen=("interrupt",),
)
SPI = SimulatedLink(
    toplevel="spi_port",
    bench="downshift.sim.spi_bench",
    driven=("clk", "send*"),
    seen=("done", "received_data"),
)
LINKS = {"uart": UART, "spi": SPI, "axi": AXI}
"""By name."""


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A built simulation of one configuration.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    folder : Path
        Holds the Verilog and the simulator.
    link : SimulatedLink
    """

    config: AcceleratorConfig | TableConfig
    folder: Path
    link: SimulatedLink = UART

    def run(self, work: str, arguments: dict[str, Any], out: Path, *, seed: int = 1) -> Any:
        """Run a driver's work in the simulator.

        Parameters
        ----------
        work : str
            ``"module:function"``; called as ``function(accelerator, **arguments)``.
        arguments : dict
            Of the call; JSON.
        out : Path
            Folder for the log and the result.
        seed : int
            Of the simulator's randomness.

        Returns
        -------
        What the function returned; JSON.

        Raises
        ------
        DownshiftError
            If the simulation fails; names the log.
        """
        from downshift.sim.job import JOB_VARIABLE  # needs cocotb

        make_folder(out)
        job, result, log = (out.resolve() / name for name in ("job.json", "result.json", "sim.log"))
        result.unlink(missing_ok=True)
        job.write_text(json.dumps({"work": work, "arguments": arguments, "result": str(result)}))
        run_bench(
            self.folder,
            toplevel=self.link.toplevel,
            bench=self.link.bench,
            out=out,
            environment={JOB_VARIABLE: str(job)},
            seed=seed,
            log=log,
        )
        if not result.exists():
            raise DownshiftError(f"The simulation failed; see {log}")
        return json.loads(result.read_text())


def build_simulation(
    config: AcceleratorConfig | TableConfig,
    folder: Path,
    *,
    link: SimulatedLink = UART,
    verilog: str | None = None,
) -> Simulation:
    """Generate the Verilog of an accelerator and build its simulator.

    A simulator that was built in the same folder from the same Verilog is used again.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    folder : Path
    link : SimulatedLink
        How the host reaches it.
    verilog : str, optional
        What to simulate instead, such as a netlist: module ``accelerator``, with a UART of
        `DIVISOR` cycles a bit.

    Raises
    ------
    DownshiftError
        If a tool is missing (names it), or the build fails (names the log).
    """
    check_tools()
    make_folder(folder)
    folder = folder.resolve()
    texts = {
        name: verilog if name == "accelerator" and verilog else generate_verilog(make(), name=name)
        for name, make in _components(config, link).items()
    }
    sources = {f"{name}.v": text for name, text in texts.items()} | {"visible.vlt": link.control}
    if link.traced:
        sources["trace_window.v"] = Path(__file__).with_name("trace_window.v").read_text()
    verilate(sources, toplevel=link.toplevel, folder=folder, traced=link.traced)
    return Simulation(config=config, folder=folder, link=link)


def _components(
    config: AcceleratorConfig | TableConfig, link: SimulatedLink
) -> dict[str, Callable[[], Any]]:
    """What is simulated, by name of the module."""
    if link.toplevel == AXI.toplevel:
        return {AXI.toplevel: lambda: AxiCore(config=config)}
    if link.toplevel == SPI.toplevel:
        return {
            "accelerator": lambda: SpiTop(config=config),
            SPI.toplevel: lambda: SpiPort(half=SPI_HALF, module="accelerator"),
        }
    return {
        "accelerator": lambda: Top(config=config, divisor=DIVISOR),
        UART.toplevel: lambda: SerialPort(
            divisor=DIVISOR, module="accelerator", traced=link.traced
        ),
    }
