"""The accelerator as an IP core, in a folder: `write_ip_core`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from downshift.boards.ip_core.ip_xact import ip_xact
from downshift.boards.ip_core.register_texts import c_header, documentation
from downshift.boards.verilog import plain_verilog
from downshift.hw.axi_core import AxiCore
from downshift.hw.config import AcceleratorConfig
from downshift.hw.table_config import TableConfig
from downshift.hw.top import SpiTop
from downshift.sw.atomic_write import atomic_folder
from downshift.sw.compile.config_file import CONFIG, config_text
from downshift.sw.exporting.host_model import driver_texts

__all__ = ["Link", "write_ip_core"]

Link = Literal["axi", "spi"]


def write_ip_core(
    config: AcceleratorConfig | TableConfig,
    out: Path,
    *,
    link: Link = "axi",
    files: Mapping[str, bytes] | None = None,
) -> tuple[str, ...]:
    """Write an IP core.

    Behind AXI: Verilog, IP-XACT, a C header and documentation of its registers. Behind SPI:
    Verilog, and a host in C.

    Parameters
    ----------
    config : AcceleratorConfig or TableConfig
    out : Path
        Folder; created if it is missing.
    link : str
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
    name = f"downshift_{link}"
    if link == "axi":
        core = AxiCore(config=config)
        texts = {
            f"{name}.v": plain_verilog(core, name=name),
            "component.xml": ip_xact(core, name=name, sources=[f"{name}.v"]),
            "downshift_registers.h": c_header(),
            "registers.md": documentation(),
        }
    else:
        texts = {f"{name}.v": plain_verilog(SpiTop(config=config), name=name)}
        if isinstance(config, AcceleratorConfig):  # it lays out inputs of no other style
            texts |= driver_texts()
    texts[CONFIG] = config_text(config)
    contents = {name: text.encode() for name, text in texts.items()} | dict(files or {})
    with atomic_folder(out) as folder:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    return tuple(contents)
