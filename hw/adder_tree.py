"""Adder trees with a register at every level, laid in shared carry chains."""

from amaranth import Module, Signal, Value
from amaranth.utils import ceil_log2

from downshift.hw.fabric import Addition, Fabric

__all__ = ["add_trees", "adder_tree_latency"]


def adder_tree_latency(values):
    """Registers between `values` values and their sum."""
    return ceil_log2(values)


def add_trees(m: Module, name: str, fabric: Fabric, trees: list[list[Value]], *, largest: int):
    """Sum each list of values, all lists of one length, `adder_tree_latency` cycles later.

    Parameters
    ----------
    m : Module
        Gains the adders.
    name : str
        Begins the names of what is added.
    fabric : Fabric
    trees : list of list of Value
        Unsigned values; trees of a level share carry chains.
    largest : int
        Most that a value can be.

    Returns
    -------
    list of Signal
        A sum for each tree, as wide as it needs to be.
    """
    bounds = [largest] * len(trees[0])
    depth = 0
    while len(bounds) > 1:
        bounds = [sum(bounds[k : k + 2]) for k in range(0, len(bounds), 2)]
        additions, following = [], []
        for index, level in enumerate(trees):
            sums = []
            for k, bound in enumerate(bounds):
                total = Signal(bound.bit_length(), name=f"{name}_{depth}_{index}_{k}")
                held = Signal.like(total, name=f"{total.name}_r", reset_less=True)
                if 2 * k + 1 < len(level):
                    additions.append(Addition(o=total, a=level[2 * k], b=level[2 * k + 1]))
                else:
                    m.d.comb += total.eq(level[2 * k])
                m.d.sync += held.eq(total)
                sums.append(held)
            following.append(sums)
        fabric.add(m, f"{name}_{depth}", additions)
        trees, depth = following, depth + 1
    return [tree[0] for tree in trees]
