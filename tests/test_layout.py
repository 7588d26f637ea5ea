import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = PROJECT["tool"]["setuptools"]["package-dir"]


def test_every_folder_with_an_init_is_a_package():
    packages = {
        ".".join([package, *init.parent.relative_to(ROOT / folder).parts])
        for package, folder in FOLDERS.items()
        for init in (ROOT / folder).rglob("__init__.py")
    }
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(packages)


@pytest.mark.parametrize("module", ["downshift.boards", "downshift.hw.config", "downshift.sw.cli"])
def test_listing_boards_loads_nothing_heavy(module):
    program = (
        f"import sys, {module};"
        "heavy = {'torch', 'amaranth', 'cocotb', 'pyosys', 'amaranth_boards'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_dependency_is_pinned():
    pinned = {
        line.split("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    groups = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *(one for group in groups for one in group)]
    names = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in wanted}
    assert names - {"downshift"} <= pinned


LAYERS = ("downshift.hw", "downshift.sw", "downshift.sim", "downshift.boards")
"""Each may import those before it; the command line, in `downshift.sw.cli`, composes all."""

FILES = [
    (package, file.relative_to(ROOT))
    for package, folder in FOLDERS.items()
    if package in LAYERS
    for file in sorted((ROOT / folder).rglob("*.py"))
    if "cli" not in file.parts
]


@pytest.mark.parametrize(("package", "file"), FILES, ids=lambda value: str(value))
def test_imports_point_one_way(package, file):
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    allowed = LAYERS[: LAYERS.index(package) + 1]
    own = {name for name in found if name.startswith("downshift")}
    wrong = {name for name in own if ".".join(name.split(".")[:2]) not in allowed}
    assert not wrong | {name for name in own if name.startswith("downshift.sw.cli")}
