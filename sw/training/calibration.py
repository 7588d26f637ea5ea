"""What training takes from batches without a gradient: first scales, last statistics."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from downshift.sw.quantization.activation_quantizer import ActivationQuantizer
from downshift.sw.quantization.switchable import SwitchableBatchNorm
from downshift.sw.quantization.widths import set_widths

__all__ = ["calibrate", "kept_statistics", "recalibrate_norms", "settle_norms"]


@torch.no_grad()
def calibrate(model: nn.Module, images: Tensor, widths: tuple[int, ...]) -> None:
    """Set every activation scale to the one of least mean squared error on `images`.

    Layers are set in order, each on what the quantized ones before it give; batch norms use the
    statistics of the batch.
    """
    quantizers = [m for m in model.modules() if isinstance(m, ActivationQuantizer)]
    model.train()
    for quantizer in quantizers:
        quantizer.calibrating = True
    for width in widths:
        set_widths(model, width)
        model(images)
    for quantizer in quantizers:
        quantizer.calibrating = False


def recalibrate_norms(
    model: nn.Module,
    images: Tensor,
    widths: tuple[int, ...],
    *,
    input_scale: float = 1.0,
    batch_size: int = 256,
) -> None:
    """Take the running statistics of every batch norm afresh, at every width.

    While training, they trail behind weights that the other widths move too. The model is left in
    training mode.

    Parameters
    ----------
    model : nn.Module
    images : tensor, shape (n, channels, height, width)
        All of them count; real values, or codes.
    widths : tuple of int
    input_scale : float
        Real value of one unit of `images`.
    batch_size : int
    """
    for width in widths:
        set_widths(model, width)
        settle_norms(model, images, input_scale=input_scale, batch_size=batch_size)


@torch.no_grad()
def settle_norms(
    model: nn.Module, images: Tensor, *, input_scale: float = 1.0, batch_size: int = 256
) -> None:
    """Take the statistics of the batch norms that run afresh; the model is left in training mode.

    Parameters are those of `recalibrate_norms`.
    """
    model.train()
    norms = [m.norm for m in model.modules() if isinstance(m, SwitchableBatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
    for batch in images.split(batch_size):
        model(batch.float() * input_scale)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@contextmanager
def kept_statistics(model: nn.Module) -> Iterator[None]:
    """Give batch norms their statistics back, and the model its mode, whatever the body does."""
    training = model.training
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    before = [{name: b.clone() for name, b in norm.named_buffers()} for norm in norms]
    try:
        yield
    finally:
        model.train(training)
        for norm, buffers in zip(norms, before, strict=True):
            for name, value in buffers.items():
                getattr(norm, name).copy_(value)
