"""Seed one fault at a time into a copy of the repository, and see that a test fails for it.

A program: ``python tests/seeded_faults [--json] [--only WORD] [--jobs N]``. It exits with 1 if
a fault survives, or if the tests do not pass without one. Tests that a fault keeps from ending have
not noticed it.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from fault_table import SUBSTITUTIONS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hw", "sw", "sim", "boards")

SECONDS = 600
"""How long the tests of a fault may take; without it, they take three minutes at most."""

BROKEN = (
    "AttributeError", "ImportError", "IndentationError", "ModuleNotFoundError", "NameError",
    "SyntaxError", "TypeError",
)  # fmt: skip
"""What a substitution that is no longer a program raises: such a failure proves nothing."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One substitution, and the tests that must notice it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a fault."""

    fault: str
    file: str
    killed: bool
    test: str
    """The first that failed; for a survivor, why nothing counts."""


FAULTS = [
    Fault(name=name, file=file, old=old, new=new, tests=(tests,))
    for name, places in SUBSTITUTIONS.items()
    for file, old, new, tests in places
]


def copy_repository(folder: Path) -> Path:
    """Copy the tracked files, and give them a ``downshift`` namespace of links."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    copy = folder / "copy"
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    namespace = folder / "path" / "downshift"
    namespace.mkdir(parents=True)
    for package in PACKAGES:
        (namespace / package).symlink_to(copy / package)
    return copy


def run_python(
    copy: Path, *arguments: str, seconds: float | None = None
) -> subprocess.CompletedProcess:
    """Run Python on a copy of the repository instead of the installed package."""
    environment = os.environ | {
        "PYTHONPATH": str(copy.parent / "path"),
        # Sources change within a second and keep their size: caches would not notice.
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, *arguments]
    with subprocess.Popen(
        command, cwd=copy, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the simulators that it runs as well
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def run_tests(
    copy: Path, tests: tuple[str, ...], *options: str, seconds: float | None = None
) -> tuple[int, ET.Element, str]:
    """Exit status of pytest, its report, and its last line."""
    report = copy.parent / "report.xml"
    done = run_python(
        copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
        *options, *tests, seconds=seconds,
    )  # fmt: skip
    tree = ET.parse(report).getroot() if report.exists() else ET.Element("testsuites")
    return done.returncode, tree, (done.stdout.strip().splitlines() or [done.stderr])[-1]


def check_clean(faults: list[Fault]) -> None:
    """Exit unless the tests of faults pass on a copy without any, and are run on that copy."""
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_repository(Path(folder))
        for package in ("hw", "sw", "sim"):
            code = f"import downshift.{package} as p; print(p.__file__)"
            place = run_python(copy, "-c", code).stdout.strip()
            if Path(place).resolve() != (copy / package / "__init__.py").resolve():
                sys.exit(f"The copy's {package} is shadowed by {place}")
        tests = tuple(sorted({test for fault in faults for test in fault.tests}))
        status, _, last = run_tests(copy, tests)
        if status:
            sys.exit(f"Tests fail without a fault: {last}")


def try_fault(fault: Fault) -> Verdict:
    """Seed a fault and run its tests until one fails."""

    def verdict(killed: bool, test: str) -> Verdict:
        return Verdict(fault=fault.name, file=fault.file, killed=killed, test=test)

    with tempfile.TemporaryDirectory() as folder:
        copy = copy_repository(Path(folder))
        source = (copy / fault.file).read_text()
        if source.count(fault.old) != 1:
            return verdict(False, f"{fault.old!r} matches {source.count(fault.old)} times")
        (copy / fault.file).write_text(source.replace(fault.old, fault.new))
        try:
            status, report, last = run_tests(copy, fault.tests, "-x", seconds=SECONDS)
        except subprocess.TimeoutExpired:
            return verdict(False, f"no end within {SECONDS} seconds")
    for case in report.iter("testcase"):
        failure = case.find("failure")
        if failure is not None and status == 1:
            message = failure.get("message", "").split(":")[0]
            where = f"{case.get('classname', '')}.{case.get('name')}".removeprefix("tests.")
            return verdict(message not in BROKEN, where if message not in BROKEN else message)
    return verdict(False, f"no test failed: {last}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print a list for machines")
    parser.add_argument("--only", default="", metavar="WORD", help="faults or files with this word")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="faults at a time")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if options.only in f"{fault.name} {fault.file}"]
    check_clean(chosen)
    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(try_fault, chosen))
    if options.json:
        print(json.dumps([asdict(verdict) for verdict in verdicts], indent=2))
    else:
        for verdict in verdicts:
            mark = "killed by" if verdict.killed else "SURVIVES:"
            print(f"{verdict.fault:<44}{verdict.file:<26}{mark} {verdict.test}")
        killed = sum(verdict.killed for verdict in verdicts)
        print(f"{killed} of {len(verdicts)} faults killed")
    sys.exit(not verdicts or not all(verdict.killed for verdict in verdicts))


if __name__ == "__main__":
    main()
