"""Verilog of a component, readable and hierarchical."""

import re

from amaranth.back import verilog
from amaranth.lib import wiring

__all__ = ["generate_verilog", "merge_modules"]

MODULE = re.compile(r"^module (\\\S+ |\w+)\(.*?^endmodule$", re.MULTILINE | re.DOTALL)
ATTRIBUTE = re.compile(r'^ *\(\* (?:src|generator) = ".*" \*\)\n', re.MULTILINE)
NUMBERED = re.compile(r"\\\$auto\$verilog_backend\S+ ")
"""A register that Yosys adds to each module, counted through the file."""
NAME = re.compile(r"\\\S+ ")


def generate_verilog(component: wiring.Component, *, name: str) -> str:
    """Write a component as Verilog, with ``clk`` and ``rst`` beside its members.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Of the top module; the others are named after their place below it. Modules that are the
        same but for their name stand once.
    """
    return merge_modules(verilog.convert(component, name=name, strip_internal_attrs=True))


def merge_modules(text: str) -> str:
    """Leave one of all modules that differ in nothing but name and order of ports.

    Parameters
    ----------
    text : str
        Verilog as Amaranth writes it; every name of a module with a dot in it is escaped.

    Returns
    -------
    str
        The modules that are left, the first of their kind, in order.
    """
    text = NUMBERED.sub(r"\\$begin ", text)
    modules = {match[1]: match[0] for match in MODULE.finditer(text)}
    begin = text[: text.index("module ")] if modules else text
    while True:
        first: dict[str, str] = {}
        same = {}
        for name, body in modules.items():
            ports, inside = body.removeprefix(f"module {name}").split(";", 1)
            content = f"{sorted(ports.strip('()').split(', '))}{ATTRIBUTE.sub('', inside)}"
            kept = first.setdefault(content, name)
            if kept != name:
                same[name] = kept
        if not same:
            return begin + "\n\n".join(modules.values()) + "\n"
        modules = {
            name: NAME.sub(lambda match, same=same: same.get(match[0], match[0]), body)
            for name, body in modules.items()
            if name not in same
        }
