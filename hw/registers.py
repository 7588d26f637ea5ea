"""Registers before a block: so that what it is told may come from afar, and no net spans blocks."""

from collections.abc import Mapping

from amaranth import Module, Signal, Value

__all__ = ["registered"]


def registered(
    m: Module, signals: Mapping[str, Value], *, reset: tuple[str, ...] = ()
) -> dict[str, Signal]:
    """Give signals a cycle later.

    Parameters
    ----------
    m : Module
        Gains the registers.
    signals : mapping of str to Value
        By name.
    reset : tuple of str
        Names of those that start from zero; the others start from anything.
    """
    registers = {
        name: Signal.like(signal, name=f"{name}_r", reset_less=name not in reset)
        for name, signal in signals.items()
    }
    m.d.sync += [registers[name].eq(signal) for name, signal in signals.items()]
    return registers
