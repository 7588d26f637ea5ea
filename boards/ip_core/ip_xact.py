"""IP-XACT, IEEE 1685-2009: what the IP core is, for tools that assemble chips."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping

from amaranth.lib.wiring import In

from downshift.hw.axi_core import CONTROL, DATA_IN, DATA_OUT, AxiCore
from downshift.hw.register_map import MAP_BYTES, REGISTERS, Field, Register

__all__ = ["ip_xact"]

SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
VENDOR, LIBRARY, VERSION = "downshift", "ip", "1.0"
MEMORY_MAP = "registers"
INTERFACES = {
    # Beginning of the ports, bus, and whether it is ours to drive.
    CONTROL: ("aximm", "slave"),
    DATA_IN: ("axis", "slave"),
    DATA_OUT: ("axis", "master"),
}
SIGNALS = {
    # Port, its kind, what it is called in a bus of that kind, direction, and what is said of it.
    "aclk": ("clock", "CLK", "slave", {
        "ASSOCIATED_BUSIF": ":".join(name.rstrip("_") for name in INTERFACES),
        "ASSOCIATED_RESET": "aresetn",
    }),
    "aresetn": ("reset", "RST", "slave", {"POLARITY": "ACTIVE_LOW"}),
    "interrupt": ("interrupt", "INTERRUPT", "master", {"SENSITIVITY": "LEVEL_HIGH"}),
}  # fmt: skip


def ip_xact(core: AxiCore, *, name: str, sources: Iterable[str]) -> str:
    """Describe an IP core: its buses and ports, registers and files.

    The buses are those of Vivado's library, ``xilinx.com:interface`` and ``xilinx.com:signal``.

    Parameters
    ----------
    core : AxiCore
    name : str
        Of the component and of its Verilog module.
    sources : iterable of str
        Its Verilog files, as seen from the description.

    Returns
    -------
    str
        XML; the same for the same arguments.
    """
    ET.register_namespace("spirit", SPIRIT)
    component = ET.Element(_tag("component"))
    for part, text in _vlnv(VENDOR, LIBRARY, name, VERSION).items():
        _add(component, part, text)
    _interfaces(_add(component, "busInterfaces"), core)
    _registers(_add(_add(component, "memoryMaps"), "memoryMap"))
    model = _add(component, "model")
    _views(model, name)
    _ports(_add(model, "ports"), core)
    files = _add(_add(component, "fileSets"), "fileSet")
    _add(files, "name", "verilog")
    for source in sources:
        file = _add(files, "file")
        _add(file, "name", source)
        _add(file, "fileType", "verilogSource")
    _add(component, "description", "Neural network accelerator whose precision shifts at run time.")
    ET.indent(component)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(component, "unicode") + "\n"


def _tag(name: str) -> str:
    return f"{{{SPIRIT}}}{name}"


def _add(
    parent: ET.Element, name: str, text: object = None, attributes: Mapping[str, str] | None = None
) -> ET.Element:
    names = {_tag(key): value for key, value in (attributes or {}).items()}
    element = ET.SubElement(parent, _tag(name), names)
    if text is not None:
        element.text = str(text)
    return element


def _vlnv(*texts: str) -> dict[str, str]:
    return dict(zip(("vendor", "library", "name", "version"), texts, strict=True))


def _bus(parent: ET.Element, name: str, library: str, kind: str, mode: str) -> ET.Element:
    bus = _add(parent, "busInterface")
    _add(bus, "name", name)
    for element, suffix in (("busType", ""), ("abstractionType", "_rtl")):
        _add(bus, element, attributes=_vlnv("xilinx.com", library, kind + suffix, "1.0"))
    side = _add(bus, mode)
    if kind == "aximm":
        _add(side, "memoryMapRef", attributes={"memoryMapRef": MEMORY_MAP})
    return bus


def _map_ports(bus: ET.Element, ports: Mapping[str, str]) -> None:
    maps = _add(bus, "portMaps")
    for logical, physical in ports.items():
        entry = _add(maps, "portMap")
        _add(_add(entry, "logicalPort"), "name", logical)
        _add(_add(entry, "physicalPort"), "name", physical)


def _parameters(parent: ET.Element, values: Mapping[str, str]) -> None:
    parameters = _add(parent, "parameters")
    for name, value in values.items():
        parameter = _add(parameters, "parameter")
        _add(parameter, "name", name)
        _add(parameter, "value", value)


def _interfaces(parent: ET.Element, core: AxiCore) -> None:
    for prefix, (kind, mode) in INTERFACES.items():
        bus = _bus(parent, prefix.rstrip("_"), "interface", kind, mode)
        ports = [name for name in core.signature.members if name.startswith(prefix)]
        _map_ports(bus, {port.removeprefix(prefix).upper(): port for port in ports})
        if kind == "aximm":
            _parameters(bus, {"PROTOCOL": "AXI4LITE"})
    for port, (kind, logical, mode, values) in SIGNALS.items():
        bus = _bus(parent, port, "signal", kind, mode)
        _map_ports(bus, {logical: port})
        _parameters(bus, values)


def _registers(parent: ET.Element) -> None:
    _add(parent, "name", MEMORY_MAP)
    block = _add(parent, "addressBlock")
    _add(block, "name", "registers")
    _add(block, "baseAddress", 0)
    _add(block, "range", MAP_BYTES)
    _add(block, "width", 32)
    _add(block, "usage", "register")
    for entry in REGISTERS:
        register = _add(block, "register")
        _add(register, "name", entry.name)
        _add(register, "description", entry.description)
        _add(register, "addressOffset", f"{entry.offset:#x}")
        _add(register, "size", 32)
        _access(register, entry)
        reset = _add(register, "reset")
        _add(reset, "value", f"{entry.reset:#x}")
        for field in entry.fields:
            _field(register, entry, field)


def _access(parent: ET.Element, entry: Register) -> None:
    plain = "read-write" if entry.access == "write-one-to-clear" else entry.access
    _add(parent, "access", plain)


def _field(parent: ET.Element, entry: Register, field: Field) -> None:
    element = _add(parent, "field")
    _add(element, "name", field.name)
    _add(element, "description", field.description)
    _add(element, "bitOffset", field.low)
    _add(element, "bitWidth", field.width)
    _access(element, entry)
    if entry.access == "write-one-to-clear":
        _add(element, "modifiedWriteValue", "oneToClear")


def _views(model: ET.Element, name: str) -> None:
    views = _add(model, "views")
    for purpose in ("synthesis", "simulation"):
        view = _add(views, "view")
        _add(view, "name", purpose)
        _add(view, "envIdentifier", f"verilogSource::{purpose}")
        _add(view, "language", "verilog")
        _add(view, "modelName", name)
        _add(_add(view, "fileSetRef"), "localName", "verilog")


def _ports(parent: ET.Element, core: AxiCore) -> None:
    for name, member in core.signature.members.items():
        port = _add(parent, "port")
        _add(port, "name", name)
        wire = _add(port, "wire")
        _add(wire, "direction", "in" if member.flow is In else "out")
        width = getattr(core, name).shape().width
        if width > 1:
            vector = _add(wire, "vector")
            _add(vector, "left", width - 1)
            _add(vector, "right", 0)
