"""What training takes from batches without a gradient: first scales, last statistics."""

import torch
from torch import Tensor, nn

from downshift.sw.activation_quantizer import ActivationQuantizer
from downshift.sw.switchable import SwitchableBatchNorm
from downshift.sw.widths import set_widths

__all__ = ["calibrate", "recalibrate_norms"]


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


@torch.no_grad()
def recalibrate_norms(
    model: nn.Module,
    images: Tensor,
    widths: tuple[int, ...],
    *,
    input_scale: float = 1.0,
    batch_size: int = 256,
) -> None:
    """Take the running statistics of every batch norm afresh.

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
    model.train()
    for width in widths:
        set_widths(model, width)
        norms = [m.norm for m in model.modules() if isinstance(m, SwitchableBatchNorm)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average
        for batch in images.split(batch_size):
            model(batch.float() * input_scale)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
