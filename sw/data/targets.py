"""What is to be learned of an image: its class, or values such as its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["loss", "score"]


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy, or mean squared error.

    Parameters
    ----------
    outputs : float tensor, shape (n, classes) or (n, values)
    targets : int64 tensor, shape (n,), or float tensor of the shape of `outputs`
        Classes, or values.
    """
    import torch.nn.functional as F

    if targets.is_floating_point():
        return F.mse_loss(outputs, targets)
    return F.cross_entropy(outputs, targets)


def score(outputs: Tensor, targets: Tensor) -> float:
    """Share of the classes that are right, or of the values' variance that is explained.

    Parameters are those of `loss`; `outputs` may be integers where targets are classes.

    Returns
    -------
    float
        At most 1. A share of variance is negative where the values' means would be closer.

    Examples
    --------
    >>> import torch
    >>> score(torch.tensor([[0.1, 0.9], [0.2, 0.8]]), torch.tensor([1, 0]))
    0.5
    >>> score(torch.tensor([[1.0], [2.5]]), torch.tensor([[1.0], [3.0]]))
    0.875
    """
    if not targets.is_floating_point():
        return int((outputs.argmax(dim=1) == targets).sum()) / len(targets)
    values = targets.double()
    error = (outputs.double() - values).square().sum()
    variance = (values - values.mean(dim=0)).square().sum()
    return 1 - float(error / variance.clamp_min(1e-30))
