"""Changes to a traced network: modules put in, replaced, and named."""

from dataclasses import dataclass

from torch import fx, nn

__all__ = ["GraphSurgery", "title"]


@dataclass(eq=False)
class GraphSurgery:
    """A traced network that is being changed."""

    network: fx.GraphModule

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
