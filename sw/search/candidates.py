"""Networks taken from a switchable one, each layer at a width of its own."""

from collections.abc import Mapping
from functools import partial

from torch import nn

from downshift.sw.data.images import Images, Split
from downshift.sw.graph.integer_graph import IntegerGraph
from downshift.sw.quantization.lowering import lower
from downshift.sw.quantization.switchable import SwitchableBatchNorm
from downshift.sw.quantization.widths import kept_widths, set_widths
from downshift.sw.search.choices import Assignment, expanded
from downshift.sw.training.calibration import kept_statistics, settle_norms
from downshift.sw.training.evaluation import accuracy

__all__ = ["candidate_accuracy", "candidate_graph", "settled_graph"]

SETTLING = 2048
"""Images to train on that statistics are taken from."""


def candidate_accuracy(
    model: nn.Module, assignment: Assignment, images: Images, split: Split, *, settle: bool = True
) -> float:
    """What `score` says of a network on a split, in floating point.

    Parameters
    ----------
    model : nn.Module
        Switchable; left as it was.
    assignment : mapping of str to int
        Widths of the layers that decide.
    images : Images
        Statistics of batch norms are taken from its `train` part.
    split : Split
        What to judge by.
    settle : bool
        Whether statistics are taken afresh, rather than those that each layer has at its width.

    Returns
    -------
    float
        0…1.
    """
    with kept_statistics(model), kept_widths(model):
        set_widths(model, expanded(model, assignment))
        if settle:
            _settle(model, images)
        return accuracy(model, split, input_scale=images.input_scale)


def candidate_graph(
    model: nn.Module, assignments: Mapping[int, int | Assignment], images: Images, *, name: str
) -> IntegerGraph:
    """Lower a network with assignments of its own, the statistics of each taken afresh.

    Parameters
    ----------
    model : nn.Module
        Switchable; left as it was.
    assignments : mapping of int to int or mapping
        As of `lower`; mappings of the layers that decide.
    images : Images
    name : str

    Returns
    -------
    IntegerGraph
    """
    whole = {
        width: means if isinstance(means, int) else expanded(model, means)
        for width, means in assignments.items()
    }
    return settled_graph(model, whole, images, input_shape=images.input_shape, name=name)


def settled_graph(
    model: nn.Module,
    assignments: Mapping[int, int | Assignment],
    images: Images | None,
    *,
    input_shape: tuple[int, int, int],
    name: str,
) -> IntegerGraph:
    """Lower a network with assignments of all layers that switch.

    Parameters
    ----------
    model : nn.Module
        Switchable; left as it was.
    assignments : mapping of int to int or mapping
        As of `lower`; raises what that raises.
    images : Images or None
        What statistics of batch norms are taken from, where layers differ in width; None leaves
        those that each layer has at its width.
    input_shape : (height, width, channels)
    name : str
    """
    settle = None if images is None else partial(_settle_mixed, images=images)
    with kept_statistics(model):
        return lower(
            model, input_shape=input_shape, name=name, assignments=assignments, settle=settle
        )


def _settle_mixed(model: nn.Module, images: Images) -> None:
    """Take statistics, unless all layers run at one width: those are right from training."""
    norms = [module for module in model.modules() if isinstance(module, SwitchableBatchNorm)]
    if len({norm.width for norm in norms}) > 1:
        _settle(model, images)


def _settle(model: nn.Module, images: Images) -> None:
    codes = images.train.take(SETTLING).codes
    settle_norms(model, codes, input_scale=images.input_scale)
    model.eval()
