"""Verilog of a component, readable and hierarchical."""

import inspect
import re
from collections import Counter

from amaranth import ClockSignal, Elaboratable, Instance, ResetSignal, Value
from amaranth.back import verilog
from amaranth.lib import wiring
from amaranth.lib.wiring import In

__all__ = ["generate_verilog", "shared"]


def generate_verilog(component: wiring.Component, *, name: str) -> str:
    """Write a component as Verilog, with ``clk`` and ``rst`` beside its members.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Of the top module; the others are named after their place below it, or after their class if
        they are `shared`.
    """
    modules = SharedModules()
    top = modules.convert(component, name)
    return "\n".join([top, *modules.texts])


def shared(component: wiring.Component, platform) -> Elaboratable:
    """Let components of the same class and parameters be one module of the Verilog.

    Parameters
    ----------
    component : wiring.Component
        Has an attribute for each parameter of its constructor.
    platform
        As `elaborate` got it.

    Returns
    -------
    Elaboratable
        Submodule to add: `component`, or an instance of the module on its signals.
    """
    return platform.instance(component) if isinstance(platform, SharedModules) else component


class SharedModules:
    """What components are elaborated for while their Verilog is written: modules that stand once.

    A shared module keeps its boundary in synthesis, so that it is also mapped once.
    """

    def __init__(self):
        self.texts: list[str] = []
        self._modules: dict[tuple, tuple[str, frozenset[str]]] = {}
        self._counts: Counter[str] = Counter()

    def convert(self, component, name):
        """Write a component and what is below it, but for modules that are shared."""
        return verilog.convert(component, name=name, platform=self, strip_internal_attrs=True)

    def instance(self, component):
        """Instantiate the module of a component, after writing it if it is the first."""
        constructor = type(component).__init__
        own = constructor is not wiring.Component.__init__
        parameters = list(inspect.signature(constructor).parameters)[1:] if own else []
        values = (getattr(component, name) for name in parameters)
        key = (type(component), *values)
        if key not in self._modules:
            self._modules[key] = self._write(component)
        component._MustUse__used = True  # by its module
        name, ports = self._modules[key]
        wires = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        for path, member, value in component.signature.flatten(component):
            direction = "i" if member.flow is In else "o"
            wires[f"{direction}_{'__'.join(map(str, path))}"] = Value.cast(value)
        return Instance(name, **{port: wire for port, wire in wires.items() if port[2:] in ports})

    def _write(self, component):
        """Write a module; its name and ports."""
        base = re.sub(r"(?<!^)(?=[A-Z])", "_", type(component).__name__).lower()
        name = f"{base}_{self._counts[base]}" if self._counts[base] else base
        self._counts[base] += 1
        text = self.convert(component, name)
        ports = re.search(rf"^module {name}\((.*?)\);$", text, re.MULTILINE)
        assert ports is not None
        self.texts.append(text.replace(ports[0], f"(* keep_hierarchy *)\n{ports[0]}", 1))
        return name, frozenset(ports[1].split(", "))
