"""The accelerator as an IP core, in a folder: `write_ip_core`."""

from collections.abc import Mapping
from pathlib import Path

from downshift.boards.ip_core.ip_xact import ip_xact
from downshift.boards.ip_core.register_texts import c_header, documentation
from downshift.boards.verilog import plain_verilog
from downshift.hw.axi_core import AxiCore
from downshift.hw.config import AcceleratorConfig
from downshift.hw.table_config import TableConfig
from downshift.sw.atomic_write import atomic_folder
from downshift.sw.compile.config_file import CONFIG, config_text

__all__ = ["NAME", "write_ip_core"]

NAME = "downshift_axi"
"""Of the core and its Verilog module."""


def write_ip_core(
    config: AcceleratorConfig | TableConfig, out: Path, *, files: Mapping[str, bytes] | None = None
) -> tuple[str, ...]:
    """Write an IP core: Verilog, IP-XACT, a C header and documentation of its registers.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    out : Path
        Folder; created if it is missing.
    files : mapping of str to bytes, optional
        More files for it, such as an image.

    Returns
    -------
    tuple of str
        Names of the files.

    Raises
    ------
    DownshiftError
        If `out` cannot be written.
    """
    core = AxiCore(config=config)
    texts = {
        f"{NAME}.v": plain_verilog(core, name=NAME),
        "component.xml": ip_xact(core, name=NAME, sources=[f"{NAME}.v"]),
        "downshift_registers.h": c_header(),
        "registers.md": documentation(),
        CONFIG: config_text(config),
    }
    contents = {name: text.encode() for name, text in texts.items()} | dict(files or {})
    with atomic_folder(out) as folder:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    return tuple(contents)
