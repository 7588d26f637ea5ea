"""Adder trees with a register at every level."""

from amaranth import Module, Signal, Value
from amaranth.utils import ceil_log2

from downshift.hw.fabric import Addition

__all__ = ["add_trees", "adder_tree_latency"]


def adder_tree_latency(values):
    """Registers between `values` values and their sum."""
    return ceil_log2(values)


def add_trees(
    m: Module, name: str, additions: list[Addition], trees: list[list[Value]], *, largest: int
):
    """Sum each list of values, all lists of one length, `adder_tree_latency` cycles later.

    Where there is one value more than a power of two, each of its low bits is a carry of as many
    adders as it weighs, in the level that has so many, and only the others are left to add.

    Parameters
    ----------
    m : Module
        Gains the registers.
    name : str
        Begins the names of what is added.
    additions : list of Addition
        Gains the adders, for `Fabric.add`.
    trees : list of list of Value
        Unsigned values.
    largest : int
        Most that a value can be.

    Returns
    -------
    list of Signal
        A sum for each tree, as wide as it needs to be.
    """
    levels = adder_tree_latency(len(trees[0]) - 1)
    extras = []
    if len(trees[0]) == (1 << levels) + 1 and largest >> levels:
        extras = [Value.cast(tree[-1]) for tree in trees]
        trees = [tree[:-1] for tree in trees]
    bounds = [largest] * len(trees[0])

    for depth in range(adder_tree_latency(len(bounds))):
        bit = levels - 1 - depth
        bounds = [sum(bounds[k : k + 2]) + bool(extras) for k in range(0, len(bounds), 2)]
        # What is added up to the same number is next to each other, so that it may share a chain.
        following: list[list[Value]] = [[] for _ in trees]
        for k, bound in enumerate(bounds):
            for index, level in enumerate(trees):
                total = Signal(bound.bit_length(), name=f"{name}_{depth}_{index}_{k}")
                if 2 * k + 1 < len(level):
                    a, b = level[2 * k : 2 * k + 2]
                    carry = extras[index][bit] if extras else None
                    additions.append(Addition(o=total, a=a, b=b, carry=carry))
                else:
                    m.d.comb += total.eq(level[2 * k])
                following[index].append(_register(m, total))
        trees = following
        extras = [
            _register(m, extra, f"{name}_extra_{depth}_{k}") for k, extra in enumerate(extras)
        ]
    sums = [tree[0] for tree in trees]
    if not extras:
        return sums

    # The rest of the value that is one too many.
    bound = bounds[0] + (largest >> levels << levels)
    totals = [Signal(bound.bit_length(), name=f"{name}_{index}") for index in range(len(sums))]
    for total, base, extra in zip(totals, sums, extras, strict=True):
        m.d.comb += total[:levels].eq(base[:levels])
        additions.append(Addition(o=total[levels:], a=base[levels:], b=extra[levels:]))
    return [_register(m, total) for total in totals]


def _register(m, value, name=None):
    """The value, a cycle later."""
    held = Signal.like(value, name=name or f"{value.name}_r", reset_less=True)
    m.d.sync += held.eq(value)
    return held
