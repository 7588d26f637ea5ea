"""Verilog of a component, readable and hierarchical."""

from amaranth.back import verilog
from amaranth.lib import wiring

__all__ = ["generate_verilog"]


def generate_verilog(component: wiring.Component, *, name: str) -> str:
    """Write a component as Verilog, with ``clk`` and ``rst`` beside its members.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Of the top module; the others are named after their place below it.
    """
    return verilog.convert(component, name=name, strip_internal_attrs=True)
