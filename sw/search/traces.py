"""Traces of the loss's Hessian, layer by layer: how much a change of the weights would cost."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp

from downshift.hw.errors import DownshiftError
from downshift.sw.data.images import Images
from downshift.sw.data.targets import loss

__all__ = ["Curvature", "Trace", "layer_traces"]


class Curvature(StrEnum):
    """Which matrix of second derivatives."""

    HESSIAN = "hessian"
    GAUSS_NEWTON = "gauss-newton"
    """Never negative over all layers: the network counts as linear, the loss does not."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Mean diagonal entry of a layer's block, as estimated."""

    value: float
    """Trace over the number of weights."""
    standard_error: float
    """Of `value`, from how far the probes are apart."""
    probes: int

    @property
    def sensitivity(self) -> float:
        """The value, or 0 where the estimate is negative."""
        return max(self.value, 0.0)


def layer_traces(
    model: nn.Module,
    images: Images,
    *,
    probes: int = 50,
    relative_error: float = 0.0,
    batch_size: int = 128,
    curvature: Curvature = Curvature.HESSIAN,
    seed: int = 0,
) -> dict[str, Trace]:
    """Estimate the traces of all convolutions and linear layers at once.

    Each probe is a vector of signs over all weights, on a batch of images to train on; one product
    with the Hessian serves all layers.

    Parameters
    ----------
    model : nn.Module
        In FP32; batch norms use their running statistics. It is left as it was.
    images : Images
    probes : int
        Vectors, at least 2.
    relative_error : float
        Stop earlier, after at least 10, once the standard errors of all layers together are below
        this share of the values.
    batch_size : int
    curvature : Curvature
    seed : int
        Of signs and batches.

    Returns
    -------
    dict of str to Trace
        By path of the layer, in order.

    Raises
    ------
    DownshiftError
        If there are too few probes, or an estimate is no number.

    Notes
    -----
    Hutchinson's estimator; Dong et al., *HAWQ-V2*, arXiv 1911.03852.
    """
    if probes < 2:
        raise DownshiftError(f"Probes must be at least 2, not {probes!r}")
    layers = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    weights = {f"{path}.weight".lstrip("."): layer.weight for path, layer in layers.items()}
    sizes = torch.tensor([weight.numel() for weight in weights.values()], dtype=torch.float64)
    product = _hessian_product if curvature is Curvature.HESSIAN else _gauss_newton_product
    training = model.training
    model.eval()
    estimates: list[Tensor] = []
    try:
        for inputs, labels, signs in _probes(images, weights, probes, batch_size, seed):
            products = product(model, weights, signs, inputs, labels)
            dots = [(v * hv).sum().detach().double() for v, hv in zip(signs, products, strict=True)]
            estimates.append(torch.stack(dots).cpu() / sizes)
            if len(estimates) >= 10 and _error(estimates) < relative_error:
                break
    finally:
        model.train(training)
    values = torch.stack(estimates)
    if not values.isfinite().all():
        raise DownshiftError("A trace is no number; train the network before its traces are taken")
    errors = values.std(dim=0) / math.sqrt(len(values))
    return {
        path: Trace(value=float(mean), standard_error=float(error), probes=len(values))
        for path, mean, error in zip(layers, values.mean(dim=0), errors, strict=True)
    }


def _probes(
    images: Images, weights: dict[str, Tensor], probes: int, batch_size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor, list[Tensor]]]:
    """Images, labels and signs of each probe."""
    generator = torch.Generator().manual_seed(seed)
    split = images.train
    for _ in range(probes):
        chosen = torch.randint(0, len(split), (min(batch_size, len(split)),), generator=generator)
        signs = [
            torch.randint(0, 2, weight.shape, generator=generator).to(weight) * 2 - 1
            for weight in weights.values()
        ]
        chosen = chosen.to(split.labels.device)
        yield images.real(split.codes[chosen]), split.labels[chosen], signs


def _hessian_product(model, weights, signs, inputs, labels) -> tuple[Tensor, ...]:
    parameters = tuple(weights.values())
    lost = loss(model(inputs), labels)
    gradients = torch.autograd.grad(lost, parameters, create_graph=True)
    return torch.autograd.grad(gradients, parameters, signs)


def _gauss_newton_product(model, weights, signs, inputs, labels) -> tuple[Tensor, ...]:
    def logits(*tensors):
        return functional_call(model, dict(zip(weights, tensors, strict=True)), (inputs,))

    parameters = tuple(weight.detach() for weight in weights.values())
    outputs, change = jvp(logits, parameters, tuple(signs))
    if labels.is_floating_point():
        curved = change * (2 / labels.numel())  # of the mean squared error
    else:
        shares = outputs.softmax(dim=1)
        # Of the mean cross-entropy: diag(p) - p p^T.
        curved = shares * (change - (shares * change).sum(dim=1, keepdim=True)) / len(labels)
    return vjp(logits, *parameters)[1](curved)


def _error(estimates: list[Tensor]) -> float:
    """Standard errors over values, of all layers together."""
    values = torch.stack(estimates)
    errors = values.std(dim=0) / math.sqrt(len(values))
    return float(errors.norm() / values.mean(dim=0).norm())
