"""Unsigned activation codes with a learned scale for every width."""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from downshift.hw.errors import DownshiftError

__all__ = ["ActivationQuantizer", "least_squares_scale"]

CALIBRATION_SAMPLES = 1 << 14
"""Activations that the search for an initial scale looks at: its cost stays in milliseconds."""


class ActivationQuantizer(nn.Module):
    """Quantize activations to unsigned codes, with a scale of their own for every network width.

    Parameters
    ----------
    widths : tuple of int
        Network widths, 2…8.
    pinned_width : int or None
        Bits of the codes at every network width; None follows the network. The scales stay
        separate: each width normalises its batches by itself.
    fixed_scale : float or None
        Real value of one code where it is given rather than learned: that of the input.

    Attributes
    ----------
    scale : Parameter, float32, shape (len(widths),)
        Real value of one code, in the order of `widths`; a buffer where it is fixed.
    width : int
        Bits of the codes.
    calibrating : bool
        While true, forward first sets the running width's scale to the one of least mean squared
        error on its input.

    Notes
    -----
    Gradient of the scale: Esser et al., *Learned Step Size Quantization*, arXiv 1902.08153, with
    ``g = 1 / sqrt(numel * (2**width - 1))``.
    """

    def __init__(self, widths, pinned_width=None, fixed_scale=None):
        super().__init__()
        self.widths = tuple(widths)
        self.pinned_width = pinned_width
        self.calibrating = False
        if fixed_scale is None:
            self.scale = nn.Parameter(torch.ones(len(self.widths)))
        else:
            self.register_buffer("scale", torch.full((len(self.widths),), float(fixed_scale)))
        self.register_buffer("_zero_point", torch.tensor(0.0), persistent=False)
        self.select(self.widths[0])

    def select(self, width: int) -> None:
        """Run as the network's `width` asks: with that width's scale, unless pinned in its bits."""
        if width not in self.widths:
            have = ", ".join(map(str, self.widths))
            raise DownshiftError(f"Activations were trained at widths {have}, not {width!r}")
        self.index = self.widths.index(width)
        self.width = self.pinned_width or width

    def forward(self, x):
        """Quantized activations, their scale, zero point and width, as Brevitas' proxies expect."""
        top = (1 << self.width) - 1
        if self.calibrating and isinstance(self.scale, nn.Parameter):
            self.scale.data[self.index] = least_squares_scale(x.detach(), top)
        scale = self.scale[self.index]
        quantized = _Lsq.apply(x, scale, top)
        return quantized, scale.detach(), self._zero_point, torch.tensor(float(self.width))


def least_squares_scale(x: Tensor, top: int) -> Tensor:
    """Find the scale of least mean squared error for unsigned codes.

    Parameters
    ----------
    x : float tensor
        Activations; a tensor without positive values gives 1.
    top : int
        Largest code.

    Returns
    -------
    float tensor, shape ()
        Best of 200 scales, down to 1/200 of the one that clips nothing.

    Examples
    --------
    >>> least_squares_scale(torch.tensor([0.0, 1.0, 2.0, 3.0]), 3).item()
    1.0
    """
    x = x.reshape(-1)
    x = x[:: max(1, x.numel() // CALIBRATION_SAMPLES)]
    largest = x.max()
    if not largest > 0:
        return torch.ones(())
    scales = largest / top * torch.arange(200, 0, -1) / 200
    errors = torch.stack(
        [((x / s).round_().clamp_(0, top) * s - x).square_().sum() for s in scales]
    )
    return scales[errors.argmin()]


class _Lsq(torch.autograd.Function):
    """Unsigned quantization of a tensor with LSQ's gradient of the scale."""

    @staticmethod
    def forward(ctx, x, scale, top):
        codes = (x / scale).round_().clamp_(0, top)
        ctx.save_for_backward(x, scale, codes)
        ctx.top = top
        return codes * scale

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, scale, codes = ctx.saved_tensors
        x = x / scale
        inside = (x >= 0) & (x <= ctx.top)
        factor = (x.numel() * ctx.top) ** -0.5
        grad_scale = torch.dot((codes - x * inside).view(-1), grad.reshape(-1)) * factor
        return grad * inside, grad_scale, None
