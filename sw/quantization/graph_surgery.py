"""Changes to a traced network: modules put in, replaced, and named."""

import copy
from dataclasses import dataclass

from torch import fx, nn

from downshift.hw.errors import DownshiftError

__all__ = ["GraphSurgery", "title", "unsupported"]

SUPPORTED = (
    "networks are made of Conv2d, Linear, BatchNorm, ReLU, ReLU6, MaxPool2d, AdaptiveAvgPool2d, "
    "Flatten, Dropout and sums"
)


@dataclass(eq=False)
class GraphSurgery:
    """A traced network that is being changed."""

    network: fx.GraphModule

    def separate(self) -> None:
        """Give every use of a module one of its own: each learns other scales."""
        used = set()
        for node in self.network.graph.nodes:
            if node.op == "call_module" and node.target in used:
                module = self.module(node)
                if any(True for _ in module.parameters()):
                    raise unsupported(f"{title(node, self.network)} that is used more than once")
                self.network.add_submodule(node.name, copy.deepcopy(module))
                node.target = node.name
            used.add(node.target)

    def insert(self, node: fx.Node, name: str, module: nn.Module) -> fx.Node:
        """Put a module behind a node, for all that take it."""
        self.network.add_submodule(name, module)
        with self.network.graph.inserting_after(node):
            inserted = self.network.graph.call_module(name, (node,))
        node.replace_all_uses_with(inserted, delete_user_cb=lambda user: user is not inserted)
        return inserted

    def as_module(self, node: fx.Node, module: nn.Module) -> None:
        """Let a module of its own do what a function or method did."""
        name = f"{node.name}_module" if hasattr(self.network, node.name) else node.name
        self.network.add_submodule(name, module)
        node.op, node.target, node.args, node.kwargs = "call_module", name, node.args[:1], {}

    def module(self, node: fx.Node) -> nn.Module:
        """Module that a node calls."""
        return self.network.get_submodule(node.target)

    def module_or_none(self, node: fx.Node) -> nn.Module | None:
        """Module that a node calls; None if it calls something else."""
        return self.module(node) if node.op == "call_module" else None

    def replace(self, node: fx.Node, module: nn.Module) -> None:
        """Put another module in the place of the one that a node calls."""
        self.network.set_submodule(node.target, module)


def title(node: fx.Node, network: nn.Module) -> str:
    """Name a node for messages, by its path and type."""
    if node.op != "call_module":
        return f"Operation {node.name}"
    return f"Module {node.target} of type {type(network.get_submodule(node.target)).__name__}"


def unsupported(what: str) -> DownshiftError:
    """Error about what there is no quantized form of."""
    return DownshiftError(f"{what} cannot be quantized; {SUPPORTED}")
