"""What `torch.fx` makes of a network, and the operations that stand for modules."""

import operator

import torch
from torch import fx, nn

from downshift.hw.errors import DownshiftError

__all__ = ["ADDITIONS", "FLATTENINGS", "MEANS", "trace"]

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
MEANS = (torch.mean, "mean")
FLATTENINGS = (torch.flatten, "flatten")
"""Functions, and names of methods."""


def trace(model: nn.Module, *, whole: tuple[type[nn.Module], ...] = ()) -> fx.Graph:
    """Trace a network.

    Parameters
    ----------
    model : nn.Module
    whole : tuple of type
        Modules that are taken whole, besides those of torch.

    Raises
    ------
    DownshiftError
        If it cannot be traced.
    """

    class Tracer(fx.Tracer):
        def is_leaf_module(self, module, path):
            return isinstance(module, whole) or super().is_leaf_module(module, path)

    try:
        return Tracer().trace(model)
    except Exception as error:  # whatever the user's own forward runs into
        raise DownshiftError(
            f"The network cannot be traced by torch.fx: {error}; its forward must not depend on "
            "values"
        ) from None
